package input

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-faster/jx"
)

var update = flag.Bool("update", false, "rewrite the golden files from what the code does")

// Each file of testdata/golden, read with the mapping beside it (file.yaml) or
// none, gives what its .golden says: line by line the events and the errors.
func TestGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/golden/*")
	if err != nil {
		t.Fatal(err)
	}
	paths = slices.DeleteFunc(paths, func(p string) bool {
		return strings.HasSuffix(p, ".golden") || strings.HasSuffix(p, ".yaml")
	})
	if len(paths) == 0 {
		t.Fatal("there are no files in testdata/golden")
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var m Mapping
			if _, err := os.Stat(path + ".yaml"); err == nil {
				if m, err = LoadMapping(path + ".yaml"); err != nil {
					t.Fatal(err)
				}
			} else if !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			lines, err := readAll(t, path, m, maxRecord)
			if err != nil {
				lines = append(lines, "stopped: "+err.Error())
			}
			got := strings.Join(lines, "\n") + "\n"
			golden := path + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s is not what is read now; go test -run TestGolden -update rewrites it\n--- read now\n%s", golden, got)
			}
		})
	}
}

// readAll reads one file into lines of "line number: event" or "line number!
// error", with the folder cut from names.
func readAll(t *testing.T, path string, m Mapping, most int) (lines []string, stopped error) {
	t.Helper()
	folder := filepath.Dir(path) + string(filepath.Separator)
	readFile(path, Options{Mapping: m}, most, func(rec Record, err error) bool {
		switch {
		case err != nil:
			stopped = errors.New(strings.ReplaceAll(err.Error(), folder, ""))
		case rec.Err != nil:
			lines = append(lines, fmt.Sprintf("%d! %s", rec.Line, strings.ReplaceAll(rec.Err.Error(), folder, "")))
			if rec.Value != nil || rec.User != "" || rec.Time != 0 {
				t.Errorf("%s:%d: a record with an error holds an event: %+v", path, rec.Line, rec)
			}
		default:
			lines = append(lines, fmt.Sprintf("%d: %s", rec.Line, rec.Value))
			if !jx.Valid(rec.Value) {
				t.Errorf("%s:%d: not valid JSON: %s", path, rec.Line, rec.Value)
			}
		}
		return true
	})
	return lines, stopped
}

// readText is readAll of a file made for the occasion.
func readText(t *testing.T, name, text string, m Mapping, most int) (lines []string, stopped error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return readAll(t, path, m, most)
}

func readFileText(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
