package input

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
)

// Stdin is the name that stands for the standard input among file names.
const Stdin = "-"

// Record is one event of a file, or the line that is not one.
type Record struct {
	Value []byte // the flat JSON event, the caller's to keep; nil if Err
	User  string // the event's user; empty if Err
	Time  int64  // the event's time in Unix milliseconds; 0 if Err

	File string // as given; "stdin" for Stdin
	Line int    // the line the record begins at, from 1
	Err  error  // what is wrong with this record alone, with file and line
}

// Options says how ReadFiles reads.
type Options struct {
	Mapping Mapping

	// Stdin is read for the file name "-"; nil: that name is refused.
	Stdin io.Reader

	// OnRead, if not nil, is called with the number of bytes taken from a file
	// (as stored, before decompression), for a progress bar.
	OnRead func(bytes int)
}

// ReadFiles yields the events of the files, in the order given. Files are JSONL
// (.jsonl, .ndjson, .json) or CSV (.csv), by their names without .gz, unless the
// mapping's format tells; what is compressed is seen by its first bytes. docs/input.md
// describes both.
//
// A record that is not an event comes with Record.Err, and reading goes on. The
// second value is what ends the reading: a wrong mapping, a file that cannot be
// opened or read, a CSV without the columns that the mapping names.
func ReadFiles(paths []string, opts Options) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := opts.Mapping.Validate(); err != nil {
			yield(Record{}, fmt.Errorf("input mapping: %w", err))
			return
		}
		stdinRead := false
		for _, path := range paths {
			if path == Stdin {
				if stdinRead {
					yield(Record{File: path}, errors.New(`"-" is given twice: the standard input can be read once`))
					return
				}
				stdinRead = true
			}
			if !readFile(path, opts, maxRecord, yield) {
				return
			}
		}
	}
}

// events is what the two formats have in common. next returns io.EOF at the
// end, and any other error if nothing more can be read.
type events interface {
	next() (Record, error)
}

// readFile yields one file's records; false ends the reading.
func readFile(path string, opts Options, most int, yield func(Record, error) bool) bool {
	name := path
	if path == Stdin {
		name = "stdin"
	}
	fail := func(err error) bool {
		yield(Record{File: name}, err)
		return false
	}
	csv, err := isCSV(path, opts.Mapping.Format)
	if err != nil {
		return fail(err)
	}
	src, closeFile, err := open(path, opts)
	if err != nil {
		return fail(err)
	}
	defer closeFile()

	w := newWindow(src, most)
	if err := w.skipBOM(); err != nil {
		return fail(fmt.Errorf("%s: %w", name, err))
	}
	var from events
	if csv {
		if from, err = newCSVEvents(w, opts.Mapping.plan()); err != nil {
			return fail(fmt.Errorf("%s:%w", name, err))
		}
	} else {
		from = newJSONLEvents(w, opts.Mapping)
	}
	for {
		rec, err := from.next()
		switch {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			return fail(fmt.Errorf("%s:%d: %w", name, w.line, err))
		}
		rec.File = name
		if rec.Err != nil {
			rec = Record{File: name, Line: rec.Line, Err: fmt.Errorf("%s:%d: %w", name, rec.Line, rec.Err)}
		}
		if !yield(rec, nil) {
			return false
		}
	}
}

// isCSV tells the format of a file.
func isCSV(path, format string) (bool, error) {
	switch format {
	case FormatCSV:
		return true, nil
	case FormatSegment, FormatCloudEvents, FormatGA4:
		return false, nil
	case FormatRegistry:
		return false, fmt.Errorf("%s: format %s is for records in Kafka: name the format of the file", path, FormatRegistry)
	}
	if path == Stdin {
		return false, nil
	}
	switch filepath.Ext(strings.TrimSuffix(strings.ToLower(path), ".gz")) {
	case ".csv":
		return true, nil
	case ".jsonl", ".ndjson", ".json":
		return false, nil
	}
	if format == FormatFlat {
		return false, nil
	}
	return false, fmt.Errorf("%s: the name does not tell JSONL from CSV: call it .jsonl or .csv (with .gz or without), "+
		"or set input.format to %s or %s", path, FormatFlat, FormatCSV)
}

// open opens a file and unpacks it if its first bytes are those of gzip.
func open(path string, opts Options) (src io.Reader, closeFile func(), err error) {
	var raw io.Reader
	closeFile = func() {}
	name := path
	if path == Stdin {
		if opts.Stdin == nil {
			return nil, nil, errors.New(`"-": there is no standard input to read here: name a file`)
		}
		raw, name = opts.Stdin, "stdin"
	} else {
		f, err := os.Open(path)
		if err != nil {
			return nil, nil, fmt.Errorf("read events: %w", err)
		}
		// Nothing was written, so closing has nothing to report.
		raw, closeFile = f, func() { _ = f.Close() }
	}
	if opts.OnRead != nil {
		raw = &countingReader{raw, opts.OnRead}
	}
	buffered := bufio.NewReaderSize(raw, 64<<10)
	first, err := buffered.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		closeFile()
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	if string(first) != "\x1f\x8b" {
		return buffered, closeFile, nil
	}
	unpacked, err := gzip.NewReader(buffered)
	if err != nil {
		closeFile()
		return nil, nil, fmt.Errorf("%s: the file begins like gzip, but cannot be unpacked: %w", name, err)
	}
	return unpackingReader{unpacked}, closeFile, nil
}

// unpackingReader says of an error that it is one of unpacking, since the error
// alone, such as "unexpected EOF", does not.
type unpackingReader struct{ from io.Reader }

func (u unpackingReader) Read(p []byte) (int, error) {
	n, err := u.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("unpack gzip: %w", err)
	}
	return n, err
}

type countingReader struct {
	from   io.Reader
	onRead func(bytes int)
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if n > 0 {
		c.onRead(n)
	}
	return n, err
}
