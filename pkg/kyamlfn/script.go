package kyamlfn

import "strings"

// Command is one simple command of a shell script.
type Command struct {
	Start, End int    // bytes, blanks around it excluded
	Separator  string // behind it: ";", "&&", "||", "|", "&", a line feed or nothing
	Next       int    // where the text behind the separator goes on
	Words      []string
	Offsets    []int // of the words
}

// Commands cuts a script into simple commands. Quotes go, references stay as
// they are, comments are none. It returns false where a quote does not end.
func Commands(script string) ([]Command, bool) {
	var out []Command
	var words []string
	var offsets []int
	var word strings.Builder
	inWord := false
	start, end := -1, 0
	flush := func() {
		if inWord {
			words = append(words, word.String())
			word.Reset()
			inWord = false
		}
	}
	finish := func(separator string, next int) {
		flush()
		if start >= 0 {
			out = append(out, Command{start, end, separator, next, words, offsets})
		} else if len(out) > 0 && separator == "\n" {
			out[len(out)-1].Next = next // an empty line
		}
		words, offsets, start = nil, nil, -1
	}
	begin := func(i int) {
		if start < 0 {
			start = i
		}
		if !inWord {
			offsets = append(offsets, i)
		}
		inWord = true
	}
	for i := 0; i < len(script); {
		b := script[i]
		switch {
		case b == '\\' && i+1 < len(script):
			if script[i+1] == '\n' {
				flush()
			} else {
				begin(i)
				word.WriteByte(script[i+1])
				end = i + 2
			}
			i += 2
			continue
		case b == '\'' || b == '"':
			j := strings.IndexByte(script[i+1:], b)
			if j < 0 {
				return nil, false
			}
			begin(i)
			word.WriteString(script[i+1 : i+1+j])
			i += j + 2
			end = i
			continue
		case b == '#' && !inWord:
			j := strings.IndexByte(script[i:], '\n')
			if j < 0 {
				j = len(script) - i
			}
			i += j
			continue
		case b == '\n' || b == ';':
			finish(string(b), i+1)
		case b == '&' || b == '|':
			if i > 0 && script[i-1] == '>' || i+1 < len(script) && script[i+1] == '>' { // 2>&1, &>file
				begin(i)
				word.WriteByte(b)
				end = i + 1
				break
			}
			n := 1
			if i+1 < len(script) && script[i+1] == b {
				n = 2
			}
			finish(script[i:i+n], i+n)
			i += n
			continue
		case b == ' ' || b == '\t' || b == '\r':
			flush()
		default:
			begin(i)
			word.WriteByte(b)
			end = i + 1
		}
		i++
	}
	finish("", len(script))
	return out, true
}
