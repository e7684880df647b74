package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/nudged/nudged/internal/input"
)

// mapping reads the file of --map; none is nudged's own form.
func mapping(path string) (input.Mapping, error) {
	if path == "" {
		return input.Mapping{}, nil
	}
	return input.LoadMapping(path)
}

// progress draws a bar over the bytes of the files on the terminal's stderr, and
// none when stderr is no terminal.
func progress(files []string, what string) (onRead func(int), finish func()) {
	if !onTerminal() {
		return nil, func() {}
	}
	total := int64(0)
	for _, f := range files {
		if s, err := os.Stat(f); err == nil {
			total += s.Size()
		} else {
			total = -1
			break
		}
	}
	bar := progressbar.NewOptions64(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	return func(n int) { _ = bar.Add(n) }, func() { _ = bar.Finish() } // a bar that cannot be drawn harms nobody
}

// onTerminal tells whether somebody watches the standard error.
func onTerminal() bool {
	info, err := os.Stderr.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// recordProgress draws a bar over the records of a topic, whose number is told
// once it is known.
func recordProgress(what string) (onTotal func(int64), onRead func(int), finish func()) {
	if !onTerminal() {
		return nil, nil, func() {}
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	// A bar that cannot be drawn harms nobody.
	return bar.ChangeMax64, func(n int) { _ = bar.Add(n) }, func() { _ = bar.Finish() }
}

// complainer prints the first bad lines and counts the rest.
type complainer struct{ seen int }

const shownComplaints = 20

func (c *complainer) complain(err error) {
	c.seen++
	if c.seen <= shownComplaints {
		fmt.Fprintln(os.Stderr, "nudged:", err)
	}
}

func (c *complainer) summary() error {
	if c.seen == 0 {
		return nil
	}
	if c.seen > shownComplaints {
		fmt.Fprintf(os.Stderr, "nudged: … and %d more bad lines\n", c.seen-shownComplaints)
	}
	return errReported
}
