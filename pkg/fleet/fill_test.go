package fleet

import "testing"

func TestAChangeOfAFilledInValueKeepsItsExpressions(t *testing.T) {
	name, env := Fill{"{{name}}", "cart"}, Fill{"{{ .env }}", "dev"}
	for _, row := range []struct {
		name, raw, text, to string
		fills               []Fill
		want                string
	}{
		{"the value of an option", "-javaagent:/a.jar -Dsw.name={{name}}", "-javaagent:/a.jar -Dsw.name=cart", "-javaagent:/b.jar -Dotel.name=cart", []Fill{name}, "-javaagent:/b.jar -Dotel.name={{name}}"},
		{"several, one within a list", "-Dx={{name}}-{{ .env }} -Xmx1g", "-Dx=cart-dev -Xmx1g", "-Xmx1g -Dy=a=cart-dev,b=dev", []Fill{name, env}, "-Xmx1g -Dy=a={{name}}-{{ .env }},b={{ .env }}"},
		{"a word that stays, and the same text that is no expression's", "-Da=cart -Db={{name}} -Dc=x", "-Da=cart -Db=cart -Dc=x", "-Da=cart -Db=cart -Dc=y", []Fill{name}, "-Da=cart -Db={{name}} -Dc=y"},
		{"a tag", "1.0-{{name}}", "1.0-cart", "1.0-cart-otel", []Fill{name}, "1.0-{{name}}-otel"},
		{"an ending", "/a/{{name}}.jar", "/a/cart.jar", "/b/cart.jar", []Fill{name}, "/b/{{name}}.jar"},
		{"an expression that goes", "-Dsw.x={{name}} -Xmx1g", "-Dsw.x=cart -Xmx1g", "-Xmx1g", []Fill{name}, "-Xmx1g"},
		{"several words", "{{name}} -Dsw.x=1", "-Xa -Xb -Dsw.x=1", "-Xa -Xb -Dy=1", []Fill{{"{{name}}", "-Xa -Xb"}}, "{{name}} -Dy=1"},
		{"the longer result", "-Dx={{name}} -Dy={{full}}", "-Dx=cart -Dy=cart-dev", "-Dz=a=cart-dev,b", []Fill{name, {"{{full}}", "cart-dev"}}, "-Dz=a={{full}},b"},
		{"a result of one letter is in many words", "-Dx={{n}}", "-Dx=1", "-Dz=10", []Fill{{"{{n}}", "1"}}, "-Dz=10"},
		{"the same word twice, in the order of the file", "-Da=cart -Da={{name}}", "-Da=cart -Da=cart", "-Da=cart -Da=cart -Xmx1g", []Fill{name}, "-Da=cart -Da={{name}} -Xmx1g"},
		{"an expression in the new text", "-Da={{name}}", "-Da=cart", "-Da=cart -Db={{name}}", []Fill{name}, "-Da=cart -Db={{name}}"},
		{"lines", "-Dx={{name}}\n  -Dy=1", "-Dx=cart\n  -Dy=1", "-Dz=cart\n  -Dy=1", []Fill{name}, "-Dz={{name}}\n  -Dy=1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := refill(row.raw, row.fills); got != row.text {
				t.Fatalf("the row is wrong: refill = %q, want %q", got, row.text)
			}
			w := Workload{}
			c := w.Change(OpReplace, Value{Text: row.text, At: &Origin{Raw: row.raw, Fills: row.fills}}, row.to)
			if c.Old != row.raw || c.New != row.want {
				t.Errorf("Change = %q to %q, want %q to %q", c.Old, c.New, row.raw, row.want)
			}
		})
	}
}

func TestAChangeOfAPartIsOfThatPart(t *testing.T) {
	at := &Origin{Outer: Outer{Before: "reg/app:", After: "-jdk17"}}
	for to, want := range map[string][2]string{
		"reg/app:1.0-otel-jdk17":         {"1.0", "1.0-otel"},
		"reg/app:1.0-jdk17-otel@sha256:": {"reg/app:1.0-jdk17", "reg/app:1.0-jdk17-otel@sha256:"}, // does not apply
	} {
		c := Workload{}.Change(OpReplace, Value{Text: "reg/app:1.0-jdk17", At: at}, to)
		if got := [2]string{c.Old, c.New}; got != want {
			t.Errorf("Change to %q = %q, want %q", to, got, want)
		}
	}
}
