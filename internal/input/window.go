package input

import (
	"bytes"
	"fmt"
	"io"
)

// maxRecord is the most that one line, or one CSV row over several lines, may
// hold, without its line end.
const maxRecord = 16 << 20

const firstBuffer = 256 << 10

// tooLongError reports a record of more than the window's most.
type tooLongError struct{ most int }

func (e tooLongError) Error() string {
	return fmt.Sprintf("the record is longer than %d bytes: split it, or see whether a line end is missing", e.most)
}

// window is a stretch of a file that can be looked at before it is consumed, so
// that a CSV row that turns out to be broken can be given up line by line. It
// counts physical lines.
type window struct {
	src  io.Reader
	buf  []byte
	from int // buf[from:to] is read and not yet consumed
	to   int
	line int // number of the line that begins at from, from 1
	most int // bytes per record; maxRecord but in tests
	end  bool
}

func newWindow(src io.Reader, most int) *window {
	return &window{src: src, buf: make([]byte, min(firstBuffer, most+2)), line: 1, most: most}
}

// rest is what is read and not yet consumed. It is valid until the next call
// of more.
func (w *window) rest() []byte { return w.buf[w.from:w.to] }

// more reads at least one byte more into rest, or sets end.
func (w *window) more() error {
	if w.to == len(w.buf) {
		w.makeRoom()
	}
	for range 100 {
		n, err := w.src.Read(w.buf[w.to:])
		w.to += n
		switch {
		case err == io.EOF:
			w.end = true
			return nil
		case err != nil:
			return err
		case n > 0:
			return nil
		}
	}
	return io.ErrNoProgress
}

// double reads until rest has twice the size, or sets end. It is for rows whose
// end cannot be seen yet and which are parsed anew after each call: doubling
// keeps the whole work linear.
func (w *window) double() error {
	for goal := 2 * len(w.rest()); len(w.rest()) <= goal && !w.end; {
		if err := w.more(); err != nil {
			return err
		}
	}
	return nil
}

func (w *window) makeRoom() {
	kept := w.rest()
	if len(kept) > len(w.buf)/2 {
		w.buf = make([]byte, 2*len(w.buf))
	}
	copy(w.buf, kept)
	w.from, w.to = 0, len(kept)
}

// firstLine returns the line that begins at from, without its line end (\n or
// \r\n), and the bytes it takes with it, without consuming it. io.EOF: there is
// none. A tooLongError: the line was too long and is consumed.
func (w *window) firstLine() (line []byte, size int, err error) {
	seen := 0
	for {
		rest := w.rest()
		if i := bytes.IndexByte(rest[seen:], '\n'); i >= 0 {
			size = seen + i + 1
			line = withoutCR(rest[:size-1])
			break
		}
		seen = len(rest)
		if w.end {
			if seen == 0 {
				return nil, 0, io.EOF
			}
			size, line = seen, withoutCR(rest)
			break
		}
		if seen > w.most+1 { // a \r more than the most may still be part of the line end
			return nil, 0, w.discardLine()
		}
		if err := w.more(); err != nil {
			return nil, 0, err
		}
	}
	if len(line) > w.most {
		w.consume(size, 1)
		return nil, 0, tooLongError{w.most}
	}
	return line, size, nil
}

// discardLine consumes a line too long to hold, up to its end.
func (w *window) discardLine() error {
	for {
		rest := w.rest()
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			w.consume(i+1, 1)
			return tooLongError{w.most}
		}
		w.consume(len(rest), 0)
		if w.end {
			w.line++
			return tooLongError{w.most}
		}
		if err := w.more(); err != nil {
			return err
		}
	}
}

// consume moves past size bytes that hold so many lines.
func (w *window) consume(size, lines int) {
	w.from += size
	w.line += lines
}

// skipBOM consumes a UTF-8 byte order mark, which spreadsheets put first.
func (w *window) skipBOM() error {
	const bom = "\xef\xbb\xbf"
	for len(w.rest()) < len(bom) && !w.end {
		if err := w.more(); err != nil {
			return err
		}
	}
	if bytes.HasPrefix(w.rest(), []byte(bom)) {
		w.consume(len(bom), 0)
	}
	return nil
}

func withoutLineEnd(record []byte) []byte {
	return withoutCR(bytes.TrimSuffix(record, []byte("\n")))
}

func withoutCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}
