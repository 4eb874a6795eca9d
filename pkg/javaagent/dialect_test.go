package javaagent_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

func texts(tokens []javaagent.Token) []string {
	var out []string
	for _, t := range tokens {
		out = append(out, t.Text)
	}
	return out
}

func TestTokenize(t *testing.T) {
	tests := []struct {
		name string
		d    javaagent.Dialect
		text string
		want []string
	}{
		{"the JVM splits at every kind of white space", javaagent.DialectToolOptions, "-Da=1\t-Db=2\n\v\f\r -Dc=3", []string{"-Da=1", "-Db=2", "-Dc=3"}},
		{"the JVM removes either quote, inside a word too", javaagent.DialectToolOptions, `-Da="x y"'z w' "-Db=it's"`, []string{"-Da=x yz w", "-Db=it's"}},
		{"a backslash is nothing special to the JVM", javaagent.DialectToolOptions, `-Da=C:\dir\ -Db=\"x y\"`, []string{`-Da=C:\dir\`, `-Db=\x y\`}},
		{"the launcher quotes as the JVM does and keeps an argfile's name", javaagent.DialectLaunch, `@opts.txt "-Da=x y"`, []string{"@opts.txt", "-Da=x y"}},
		{"a shell escapes a blank", javaagent.DialectShell, `-Da=x\ y -Db="a \"b\" $C"`, []string{"-Da=x y", `-Db=a "b" $C`}},
		{"a shell keeps single quotes whole", javaagent.DialectShell, `-Da='$X "y" \n'`, []string{`-Da=$X "y" \n`}},
		{"a line that goes on is white space", javaagent.DialectShell, "-Da=1 \\\n  -Db=2", []string{"-Da=1", "-Db=2"}},
		{"operators stay in the word, because unquoted expansion leaves them", javaagent.DialectShell, "-Durl=http://h/?a=1&b=2 -Dn=a|b", []string{"-Durl=http://h/?a=1&b=2", "-Dn=a|b"}},
		{"a command substitution is one word", javaagent.DialectShell, "-Dh=$(hostname -f) -Db=${X:-a b}", []string{"-Dh=$(hostname -f)", "-Db=${X:-a b}"}},
		{"an exec argument is one, blanks and quotes included", javaagent.DialectExec, `-Da="x y" z`, []string{`-Da="x y" z`}},
		{"nothing is nothing", javaagent.DialectToolOptions, "  \n ", nil},
		{"an empty pair of quotes is an empty argument", javaagent.DialectToolOptions, `"" -Da`, []string{"", "-Da"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tokens, err := javaagent.Tokenize(test.text, test.d)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, texts(tokens)); diff != "" {
				t.Errorf("Tokenize(%q) (-want +got):\n%s", test.text, diff)
			}
		})
	}
}

func TestTokenizeKnowsReferencesAndLiveCharacters(t *testing.T) {
	tests := []struct {
		name, text string
		d          javaagent.Dialect
		want       []string
		live       bool
	}{
		{"Kubernetes expands its own form everywhere", "-Da=$(POD_NAME)-x", javaagent.DialectToolOptions, []string{"POD_NAME"}, false},
		{"the JVM expands no shell form", "-Da=${X}$Y", javaagent.DialectToolOptions, nil, false},
		{"a script expands every form", "-Da=${X}$Y$(Z)", javaagent.DialectShell, []string{"X", "Y", "Z"}, false},
		{"Kubernetes expands inside single quotes", "-Da='$(X) $Y'", javaagent.DialectShell, []string{"X"}, false},
		{"an escaped reference is none", "-Da=$$(X)", javaagent.DialectExec, nil, false},
		{"a default makes it live", "-Da=${X:-1}", javaagent.DialectShell, []string{"X"}, true},
		{"a pipe is live", "-Da=b|c", javaagent.DialectShell, nil, true},
		{"a quoted pipe is not", "'-Da=b|c'", javaagent.DialectShell, nil, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tokens, err := javaagent.Tokenize(test.text, test.d)
			if err != nil || len(tokens) != 1 {
				t.Fatalf("got %v, %v", tokens, err)
			}
			if diff := cmp.Diff(test.want, tokens[0].References); diff != "" {
				t.Errorf("references (-want +got):\n%s", diff)
			}
			if tokens[0].Live != test.live {
				t.Errorf("live = %v, want %v", tokens[0].Live, test.live)
			}
		})
	}
}

func TestTokenizeRefusesAnOpenQuote(t *testing.T) {
	tokens, err := javaagent.Tokenize(`-Da=1 -Dpassword="s3cret`, javaagent.DialectToolOptions)
	var syntax *javaagent.SyntaxError
	if !errors.As(err, &syntax) || syntax.Offset != 17 {
		t.Fatalf("error = %v, want one at byte 17", err)
	}
	if diff := cmp.Diff([]string{"-Da=1"}, texts(tokens)); diff != "" {
		t.Errorf("tokens before it (-want +got):\n%s", diff)
	}
	if got := err.Error(); got != "reading option string at byte 17: unterminated quote" {
		t.Errorf("message %q shows more than it should", got)
	}
}

func FuzzTokenize(f *testing.F) {
	for _, seed := range []string{"-javaagent:/a/skywalking-agent.jar=a.b=c,d -Dskywalking.x=$(Y)", `"a 'b" \ $(`, "${a:-${b}} `x` \\\n", "'\"", "$$(X)$"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, d := range []javaagent.Dialect{javaagent.DialectToolOptions, javaagent.DialectLaunch, javaagent.DialectShell, javaagent.DialectExec} {
			tokens, _ := javaagent.Tokenize(text, d)
			at := 0
			for _, token := range tokens {
				if token.Start < at || token.End <= token.Start || token.End > len(text) {
					t.Fatalf("%s: span %d-%d behind %d in %q", d, token.Start, token.End, at, text)
				}
				at = token.End
			}
			for _, flag := range javaagent.Agents(text, d) {
				if flag.Token.Start < 0 || flag.Token.End > len(text) || flag.Token.Start >= flag.Token.End {
					t.Fatalf("%s: flag span %v in %q", d, flag.Token, text)
				}
			}
		}
	})
}

func TestCommentsOfAScriptLoadNothing(t *testing.T) {
	const flag = "-javaagent:/sw/skywalking-agent.jar"
	for _, row := range []struct {
		name, text string
		want       int
	}{
		{"a commented line", "export A=b\n# it's off: " + flag + "\nexec java\n", 0},
		{"an indented one, and the real one below", "  # " + flag + "\n" + flag + "\n", 1},
		{"the last line", "exec java\n#" + flag, 0},
		{"one line is no script", "# " + flag, 1},
		{"a # in the middle of a line", "java -Da=b#c " + flag + "\n", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := javaagent.Agents(row.text, javaagent.DialectShell); len(got) != row.want {
				t.Errorf("Agents(%q) = %v, want %d", row.text, got, row.want)
			}
		})
	}
}
