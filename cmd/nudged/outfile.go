package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// outFile is where a command writes what it found.
type outFile struct{ *bufio.Writer }

// writeTo writes to the file of --out, or to the standard output without one. A
// file is whole or an error is returned.
func writeTo(c *cobra.Command, path string, write func(w *outFile) error) error {
	if path == "" || path == "-" {
		w := &outFile{bufio.NewWriter(c.OutOrStdout())}
		if err := write(w); err != nil {
			return err
		}
		return w.Flush()
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	w := &outFile{bufio.NewWriterSize(f, 1<<16)}
	err = write(w)
	if flushed := w.Flush(); err == nil {
		err = flushed
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
