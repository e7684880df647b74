package rulefile

// scalarStyle is how a scalar is written in YAML.
type scalarStyle uint8

const (
	plainStyle scalarStyle = iota
	singleQuoted
	doubleQuoted
	blockStyle // literal or folded
)

// scalarText is the text of a scalar and where it is written.
type scalarText struct {
	text  string
	style scalarStyle
	// start is the place of the first character; that of the opening quote, or
	// of the first line's beginning for a block.
	start place
}

// placeOf returns the place of the character at offset (counted in characters)
// in the text. Both the text and the file are walked along: white space may
// differ, because YAML folds lines; everything else is there one by one, with
// escapes in quotes.
func (s scalarText) placeOf(offset int) place {
	w := walker{at: s.start, style: s.style}
	if s.style == singleQuoted || s.style == doubleQuoted {
		w.step()
	}
	i := 0
	for _, r := range s.text {
		if r != ' ' && r != '\n' && r != '\t' {
			w.skipSpace()
		}
		if i == offset {
			return w.at
		}
		w.consume(r)
		i++
	}
	// The end: right behind the last character that is written.
	return w.at
}

// walker goes through a scalar as it is written.
type walker struct {
	at    place
	style scalarStyle
}

func (w *walker) peek() (rune, bool) { return w.at.src.runeAt(w.at.line, w.at.column) }

func (w *walker) step() {
	if r, _ := w.peek(); r == '\n' {
		w.at.line++
		w.at.column = 1
		return
	}
	w.at.column++
}

// skipSpace goes to the next character that stands for itself.
func (w *walker) skipSpace() {
	for {
		r, ok := w.peek()
		switch {
		case !ok:
			return
		case r == ' ' || r == '\t' || r == '\n':
			w.step()
		case r == '\\' && w.style == doubleQuoted:
			// An escaped line end stands for nothing.
			next := *w
			next.step()
			if n, _ := next.peek(); n != '\n' {
				return
			}
			*w = next
			w.step()
		default:
			return
		}
	}
}

// consume goes past one character of the text.
func (w *walker) consume(r rune) {
	written, ok := w.peek()
	if !ok {
		return
	}
	switch {
	case w.style == doubleQuoted && written == '\\':
		w.step()
		kind, _ := w.peek()
		w.step()
		for range escapeDigits(kind) {
			w.step()
		}
	case w.style == singleQuoted && written == '\'':
		w.step()
		w.step()
	case r == ' ' || r == '\n' || r == '\t':
		// Folding may have made this space of a line end, or of nothing.
		if written == ' ' || written == '\t' || written == '\n' {
			w.step()
		}
	default:
		w.step()
	}
}

// escapeDigits is how many hexadecimal digits follow an escape.
func escapeDigits(kind rune) int {
	switch kind {
	case 'x':
		return 2
	case 'u':
		return 4
	case 'U':
		return 8
	}
	return 0
}
