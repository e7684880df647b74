package decisions

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line; messages have at most 900,000 bytes.
const maxLine = 4 << 20

// Lines calls visit with each decision of a JSONL text, and complain with each
// line that is none; name is used in errors. It ends with the first error of
// reading, or of visit.
func Lines(name string, src io.Reader, visit func(*Decision) error, complain func(error)) error {
	in := bufio.NewReaderSize(src, maxLine)
	var d Decision
	for line := 1; ; line++ {
		text, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("%s:%d: the line is longer than %d bytes: is it JSON lines?", name, line, maxLine)
		case err != nil && err != io.EOF:
			return fmt.Errorf("%s:%d: %w", name, line, err)
		}
		if line == 1 {
			text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
		}
		if text = bytes.TrimSpace(text); len(text) > 0 {
			if bad := d.Parse(text); bad != nil {
				complain(fmt.Errorf("%s:%d: %w", name, line, bad))
			} else if bad := visit(&d); bad != nil {
				return bad
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}
