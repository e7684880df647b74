package input

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const (
	jsonlText = canonicalLine + "\n"
	csvText   = "id,type,user,time\ne1,t,u,2026-01-01T00:00:00Z\n"
)

func TestFormatAndCompression(t *testing.T) {
	csvMap, flatMap := Mapping{Format: FormatCSV}, Mapping{Format: FormatFlat}
	for _, c := range []struct {
		name, text string
		m          Mapping
		stopped    string // why nothing can be read; empty: the one event is
	}{
		{"a.jsonl", jsonlText, Mapping{}, ""},
		{"a.ndjson", jsonlText, Mapping{}, ""},
		{"a.json", jsonlText, Mapping{}, ""},
		{"a.JSONL", jsonlText, Mapping{}, ""},
		{"a.csv", csvText, Mapping{}, ""},
		{"a.CSV", csvText, flatMap, ""},
		{"a.jsonl.gz", zipped(t, jsonlText), Mapping{}, ""},
		{"a.csv.gz", zipped(t, csvText), Mapping{}, ""},
		{"a.csv.GZ", zipped(t, csvText), Mapping{}, ""},
		{"a.csv", zipped(t, csvText), Mapping{}, ""},        // gzip that the name does not tell
		{"a.csv.gz", csvText, Mapping{}, ""},                // and a name without gzip
		{"a.gz", zipped(t, csvText), csvMap, ""},            // a name that tells nothing
		{"events", jsonlText, flatMap, ""},                  //
		{"a.txt", csvText, csvMap, ""},                      //
		{"a.jsonl", csvText, csvMap, ""},                    // the mapping has the last word
		{"a.csv", "\xef\xbb\xbf" + csvText, csvMap, ""},     // a byte order mark
		{"a.json", "\xef\xbb\xbf" + jsonlText, flatMap, ""}, //
		{"a.gz", zipped(t, zipped(t, csvText)), csvMap, "a.gz:1: the record is not UTF-8"},

		{"a.txt", csvText, Mapping{}, "a.txt: the name does not tell JSONL from CSV"},
		{"events", jsonlText, Mapping{}, "events: the name does not tell JSONL from CSV"},
		{"a.gz", zipped(t, jsonlText), Mapping{}, "a.gz: the name does not tell JSONL from CSV"},
		{"a.csv", "", Mapping{}, "a.csv:1: the file is empty"},
		{"a.csv", "\n\n", Mapping{}, "a.csv:3: the file is empty"},
		{"a.csv", "\"id,type\n", Mapping{}, "a.csv:1: the line of column names: a quoted field is not closed"},
		{"a.csv", "\nid,type,who,time\n", Mapping{}, `a.csv:2: there is no column "user" for the event's user: name the right one as fields.user`},
		{"a.csv", "\nid,type,who,time\n", Mapping{}, "the columns are id, type, who, time"},
		{"a.csv", strings.Repeat("a-rather-long-name,", 30), Mapping{}, "the columns are a-rather-long-name, "},
		{"a.csv", strings.Repeat("a-rather-long-name,", 30), Mapping{}, "a-rather-long-name, and 10 more"},
		{"a.csv", "id,type,user,time,user\n", Mapping{}, `a.csv:1: column "user" is there twice`},
		{"a.csv", ",type,user,time\n", Mapping{}, "a.csv:1: column 1 has no name"},
		{"a.csv", "\xff,type,user,time\n", Mapping{}, "a.csv:1: the record is not UTF-8"},
		{"a.csv", "a,type,user,time\n", Mapping{Fields: Fields{Type: "a"}}, `a.csv:1: column "type" has the name of a field of every event`},
		{"a.csv", "id,type,user,time\n", Mapping{Fields: Fields{ID: ptr("")}}, `column "id" has the name of a field of every event, which the mapping reads from elsewhere: rename the column, or set fields.id to "id"`},
		{"a.csv", "type,user,time\n", Mapping{Fields: Fields{ID: ptr("event_id")}}, `there is no column "event_id" for the event's id`},
		{"a.jsonl.gz", zipped(t, strings.Repeat(jsonlText, 100))[:len(zipped(t, strings.Repeat(jsonlText, 100)))-9], Mapping{}, "a.jsonl.gz: unpack gzip: unexpected EOF"},
		{"a.jsonl.gz", "\x1f\x8b\x00\x00", Mapping{}, "a.jsonl.gz: the file begins like gzip, but cannot be unpacked"},
		{"a.csv.gz", zipped(t, csvText)[:20], Mapping{}, "a.csv.gz: unpack gzip: unexpected EOF"},
	} {
		lines, stopped := readText(t, c.name, c.text, c.m, maxRecord)
		if c.stopped != "" {
			if stopped == nil || !strings.Contains(stopped.Error(), c.stopped) {
				t.Errorf("%s %.30q: stopped by %v, want %q", c.name, c.text, stopped, c.stopped)
			}
			continue
		}
		if stopped != nil || len(lines) != 1 || !strings.HasSuffix(lines[0], ": "+canonicalLine) {
			t.Errorf("%s %.30q: %q, %v; want the event", c.name, c.text, lines, stopped)
		}
	}
}

// A CSV whose default id column is missing derives ids; one that has it does so
// for the cells that are empty.
func TestIDsWhereTheyAreMissing(t *testing.T) {
	with, stopped := readText(t, "a.csv", "id,type,user,time\n,t,u,0\n", Mapping{}, maxRecord)
	if stopped != nil || len(with) != 1 || !strings.Contains(with[0], `{"id":"`+derivedHex("1:\x1ft\x1fu\x1f0")+`"`) {
		t.Errorf("an empty id: %q, %v", with, stopped)
	}
	without, stopped := readText(t, "a.csv", "type,user,time\nt,u,0\n", Mapping{}, maxRecord)
	if stopped != nil || len(without) != 1 || !strings.Contains(without[0], `{"id":"`+derivedHex("1:t\x1fu\x1f0")+`"`) {
		t.Errorf("no id column: %q, %v", without, stopped)
	}
	// Rows that are no events count, in both formats.
	later, stopped := readText(t, "a.csv", "type,user,time\nbroken\n\nt,u,0\n", Mapping{}, maxRecord)
	if stopped != nil || len(later) != 2 || !strings.Contains(later[1], derivedHex("2:t\x1fu\x1f0")) {
		t.Errorf("after a broken row: %q, %v", later, stopped)
	}
	line := `{"type":"t","user":"u","time":0}`
	later, stopped = readText(t, "a.jsonl", "broken\n\n"+strings.Repeat("x", 99)+"\n"+line+"\r\n", Mapping{}, 90)
	if stopped != nil || len(later) != 3 || !strings.Contains(later[2], derivedHex("3:"+line)) {
		t.Errorf("after a broken line: %q, %v", later, stopped)
	}
}

func derivedHex(content string) string { return string(appendDerivedID(nil, []byte(content))) }

func collect(paths []string, opts Options) (values []string, errs []error) {
	for rec, err := range ReadFiles(paths, opts) {
		switch {
		case err != nil:
			errs = append(errs, err)
		case rec.Err != nil:
			errs = append(errs, rec.Err)
		default:
			values = append(values, fmt.Sprintf("%s:%d %s %d %s", filepath.Base(rec.File), rec.Line, rec.User, rec.Time, rec.Value))
		}
	}
	return values, errs
}

func TestReadFiles(t *testing.T) {
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	line := func(id string, second int) string {
		return fmt.Sprintf(`{"id":"%s","type":"t","user":"u%s","time":"1970-01-01T00:00:%02dZ"}`, id, id, second)
	}
	b := file("b.jsonl", line("b1", 1)+"\nbad\n"+line("b2", 2)+"\n")
	a := file("a.csv.gz", zipped(t, "id,type,user,time\na1,t,ua1,3\n"))
	read := 0
	values, errs := collect([]string{b, "-", a}, Options{
		Stdin:  strings.NewReader(line("s1", 4) + "\nworse\n"),
		OnRead: func(n int) { read += n },
	})
	want := []string{
		"b.jsonl:1 ub1 1000 " + line("b1", 1),
		"b.jsonl:3 ub2 2000 " + line("b2", 2),
		"stdin:1 us1 4000 " + line("s1", 4),
		"a.csv.gz:2 ua1 3000 " + line("a1", 3),
	}
	if !slices.Equal(values, want) {
		t.Errorf("read %q, want %q", values, want)
	}
	if len(errs) != 2 || !strings.HasPrefix(errs[0].Error(), b+":2: ") || !strings.HasPrefix(errs[1].Error(), "stdin:2: ") {
		t.Errorf("errors %v, want one at %s:2 and one at stdin:2", errs, b)
	}
	size := len(line("s1", 4)) + len("\nworse\n")
	for _, path := range []string{a, b} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		size += int(info.Size())
	}
	if read != size {
		t.Errorf("%d bytes are reported as read, the files hold %d", read, size)
	}
}

func TestReadFilesStops(t *testing.T) {
	folder := t.TempDir()
	fine := filepath.Join(folder, "fine.jsonl")
	if err := os.WriteFile(fine, []byte(strings.Repeat(jsonlText, 3)), 0o644); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(folder, "missing.jsonl")
	inner := filepath.Join(folder, "folder.csv")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the pipe broke")
	for name, c := range map[string]struct {
		paths  []string
		opts   Options
		events int
		want   string
	}{
		"missing file":      {[]string{fine, missing, fine}, Options{}, 3, missing},
		"a folder":          {[]string{fine, inner}, Options{}, 3, inner},
		"wrong mapping":     {[]string{fine}, Options{Mapping: Mapping{Format: "avro"}}, 0, `input mapping: format: there is no format "avro"`},
		"registry":          {[]string{fine}, Options{Mapping: Mapping{Format: "registry", Registry: Registry{URLs: []string{"http://r"}}}}, 0, "format registry is for records in Kafka"},
		"no stdin":          {[]string{fine, "-"}, Options{}, 3, "there is no standard input"},
		"stdin twice":       {[]string{"-", "-"}, Options{Stdin: strings.NewReader(jsonlText)}, 1, `"-" is given twice`},
		"stdin breaks":      {[]string{"-", fine}, Options{Stdin: io.MultiReader(strings.NewReader(jsonlText), iotest.ErrReader(broken))}, 1, "stdin:2: the pipe broke"},
		"stdin never works": {[]string{"-", fine}, Options{Stdin: iotest.ErrReader(broken)}, 0, "stdin: the pipe broke"},
	} {
		values, errs := collect(c.paths, c.opts)
		if len(values) != c.events || len(errs) != 1 || !strings.Contains(errs[0].Error(), c.want) {
			t.Errorf("%s: %d events, errors %v; want %d events and %q", name, len(values), errs, c.events, c.want)
		}
	}
	if values, errs := collect([]string{"-"}, Options{Stdin: strings.NewReader(csvText), Mapping: Mapping{Format: "csv"}}); len(values) != 1 || errs != nil {
		t.Errorf("CSV from stdin: %q, %v", values, errs)
	}
	if values, errs := collect(nil, Options{}); values != nil || errs != nil {
		t.Errorf("no files: %q, %v", values, errs)
	}
}

// Whoever has seen enough gets nothing more, and nothing is read ahead of what
// a pipe holds.
func TestReadingIsInstalments(t *testing.T) {
	r, w := io.Pipe()
	defer r.Close()
	wrote := make(chan error, 1)
	next := make(chan struct{})
	go func() {
		for range next {
			if _, err := io.WriteString(w, jsonlText); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- w.Close()
	}()
	seen := 0
	next <- struct{}{}
	for rec, err := range ReadFiles([]string{"-"}, Options{Stdin: r}) {
		if err != nil || rec.Err != nil {
			t.Fatal(err, rec.Err)
		}
		if seen++; seen == 3 {
			break
		}
		next <- struct{}{} // the second line is written only when the first was seen
	}
	close(next)
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if seen != 3 {
		t.Errorf("%d events, want 3", seen)
	}
}

// The Python of docs/input.md gives the ids that the code gives, and the worked
// example there is what comes out.
func TestPublishedIDs(t *testing.T) {
	doc, err := os.ReadFile("../../docs/input.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, after string) string {
		_, rest, found := strings.Cut(string(doc), after)
		if !found {
			t.Fatalf("docs/input.md does not say %q", after)
		}
		_, rest, found = strings.Cut(rest, "```"+kind+"\n")
		text, _, closed := strings.Cut(rest, "```")
		if !found || !closed {
			t.Fatalf("docs/input.md has no block of %s after %q", kind, after)
		}
		return text
	}
	example, want := block("csv", "A worked example"), block("json", "A worked example")
	got, stopped := readText(t, "a.csv", example, Mapping{Fields: Fields{ID: ptr("")}}, maxRecord)
	for i := range got {
		_, got[i], _ = strings.Cut(got[i], ": ")
	}
	if text := strings.Join(got, "\n") + "\n"; stopped != nil || text != want {
		t.Errorf("the worked example gives\n%s%v, docs/input.md says\n%s", text, stopped, want)
	}

	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatalf("this test runs the Python of docs/input.md and needs python3 (3.9 or newer, standard library only): "+
			"install it, or put it on the PATH: %v", err)
	}
	derive := Mapping{Fields: Fields{ID: ptr("")}}
	for _, c := range []struct{ name, call, text string }{
		{"a.csv", "csv_ids", example},
		{"b.csv", "csv_ids", "\xef\xbb\xbfuser,time,type,x\r\nu1,0,t,\"a \"\"b\"\"\r\nc\"\r\n\r\n사용자,1,t,5\" pipe\r\nu,2,t,\r\n"},
		{"a.jsonl", "jsonl_ids", "\xef\xbb\xbf{\"user\":\"u1\",\"time\":0,\"type\":\"t\"}\r\n\n \t\n {\"user\":\"é\",\"time\":0,\"type\":\"t\"} \n{\"user\":\"u3\",\"time\":0,\"type\":\"t\"}"},
	} {
		path := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		script := block("python", "In Python:") + "\nimport sys\nprint(*" + c.call + "(sys.argv[1]), sep='\\n')\n"
		out, err := exec.Command(python, "-c", script, path).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, out)
		}
		var ids []string
		for rec, err := range ReadFiles([]string{path}, Options{Mapping: derive}) {
			if err != nil || rec.Err != nil {
				t.Fatal(err, rec.Err)
			}
			ids = append(ids, string(rec.Value[len(`{"id":"`):][:16]))
		}
		if got := strings.Fields(string(out)); len(ids) == 0 || !slices.Equal(got, ids) {
			t.Errorf("%s: Python derives %v, the code %v", c.name, got, ids)
		}
	}
}
