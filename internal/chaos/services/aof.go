package services

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// mendAOF cuts an append-only file after its last whole transaction, as
// redis-check-aof --fix does. Redis 7.0 itself leaves a transaction open that it finds
// torn within a command: what it appends then begins another one within it, and at the
// start after that it carries out half of what it had given up.
func mendAOF(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("mend the append-only file: %w", err)
	}
	defer f.Close()
	whole, err := wholeAOF(bufio.NewReader(f))
	if err != nil {
		return nil // Redis is to say so
	}
	if err := os.Truncate(name, whole); err != nil {
		return fmt.Errorf("mend the append-only file: %w", err)
	}
	return nil
}

var errNoCommand = errors.New("that is no command of an append-only file")

// wholeAOF returns where the last command ends after which no transaction is open.
func wholeAOF(r *bufio.Reader) (whole int64, err error) {
	at, open := int64(0), false
	for {
		name, n, err := readCommand(r)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return whole, nil
		case err != nil:
			return 0, err
		}
		at += n
		switch {
		case bytes.EqualFold(name, []byte("multi")):
			open = true
		case bytes.EqualFold(name, []byte("exec")):
			open = false
		}
		if !open {
			whole = at
		}
	}
}

// readCommand reads *count, then each argument as $length and its bytes.
func readCommand(r *bufio.Reader) (name []byte, bytes int64, err error) {
	count, n, err := readNumber(r, '*')
	if err != nil {
		return nil, 0, err
	}
	bytes = n
	for i := range count {
		size, n, err := readNumber(r, '$')
		if err != nil {
			return nil, 0, err
		}
		arg := make([]byte, size+2)
		if _, err := io.ReadFull(r, arg); err != nil {
			return nil, 0, err
		}
		if i == 0 {
			name = arg[:size]
		}
		bytes += n + size + 2
	}
	return name, bytes, nil
}

func readNumber(r *bufio.Reader, kind byte) (number, bytes int64, err error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, 0, err
	}
	if len(line) < 4 || line[0] != kind {
		return 0, 0, errNoCommand
	}
	number, err = strconv.ParseInt(line[1:len(line)-2], 10, 32)
	if err != nil || number < 0 {
		return 0, 0, errNoCommand
	}
	return number, int64(len(line)), nil
}
