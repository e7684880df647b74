package input

import "io"

// Open opens a file, or Stdin, for a reader that is not after events. It is
// unpacked if its first bytes are those of gzip. close is never nil.
func Open(path string, opts Options) (src io.Reader, closeFile func(), err error) {
	src, closeFile, err = open(path, opts)
	if err != nil {
		return nil, func() {}, err
	}
	return src, closeFile, nil
}
