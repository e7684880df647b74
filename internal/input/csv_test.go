package input

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// rowsOf reads all rows of a text; a row that is broken is given as nil.
func rowsOf(src io.Reader, most int) (rows [][]string, lines []int, errs []error) {
	r := csvRows{w: newWindow(src, most)}
	for {
		line, fatal, err := r.next()
		if fatal {
			if !errors.Is(err, io.EOF) {
				errs = append(errs, err)
			}
			return rows, lines, errs
		}
		lines = append(lines, line)
		if err != nil {
			errs = append(errs, err)
			rows = append(rows, nil)
			continue
		}
		row := []string{}
		for _, field := range r.fields {
			row = append(row, string(field))
		}
		rows = append(rows, row)
	}
}

func TestCSVRows(t *testing.T) {
	type rows = [][]string
	for name, c := range map[string]struct {
		text  string
		want  rows // nil: broken
		lines []int
	}{
		"empty":                     {"", nil, nil},
		"only empty lines":          {"\n\r\n\n", nil, nil},
		"plain":                     {"a,b\nc,d\n", rows{{"a", "b"}, {"c", "d"}}, []int{1, 2}},
		"no line end at the end":    {"a,b\nc,d", rows{{"a", "b"}, {"c", "d"}}, []int{1, 2}},
		"CRLF":                      {"a,b\r\nc,\"d\"\r\n", rows{{"a", "b"}, {"c", "d"}}, []int{1, 2}},
		"CR at the end":             {"a,\"b\"\r", rows{{"a", "b"}}, []int{1}},
		"empty fields":              {",\n,,\n\"\"\n", rows{{"", ""}, {"", "", ""}, {""}}, []int{1, 2, 3}},
		"empty lines are counted":   {"a\n\n\nb\n", rows{{"a"}, {"b"}}, []int{1, 4}},
		"quoted":                    {`"a,b","c ""d"" e",""""` + "\n", rows{{"a,b", `c "d" e`, `"`}}, []int{1}},
		"over several lines":        {"\"a\nb\r\nc\",d\ne\n", rows{{"a\nb\r\nc", "d"}, {"e"}}, []int{1, 4}},
		"quote inside":              {"5\" pipe,a\"b\"\n", rows{{`5" pipe`, `a"b"`}}, []int{1}},
		"quoted, then quote inside": {"\"x\",5\" pipe\r\ny\n", rows{{"x", `5" pipe`}, {"y"}}, []int{1, 2}},
		"spaces are kept":           {" a , b\n", rows{{" a ", " b"}}, []int{1}},
		"text after a quote":        {"\"a\"b,c\nd\n", rows{nil, {"d"}}, []int{1, 2}},
		"space after a quote":       {"\"a\" ,c\nd\n", rows{nil, {"d"}}, []int{1, 2}},
		"CR after a quote":          {"\"a\"\rb\nd\n", rows{nil, {"d"}}, []int{1, 2}},
		"never closed":              {"a\n\"b,c\nd\ne", rows{{"a"}, nil, {"d"}, {"e"}}, []int{1, 2, 3, 4}},
		"never closed, at the end":  {"a\n\"", rows{{"a"}, nil}, []int{1, 2}},
		"closed by another's":       {"\"a\nb,\"c\"\nd\n", rows{nil, {"b", "c"}, {"d"}}, []int{1, 2, 3}},
		"long":                      {strings.Repeat("x", 65) + "\na\n", rows{nil, {"a"}}, []int{1, 2}},
		"longest":                   {strings.Repeat("x", 64) + "\r\na\n", rows{{strings.Repeat("x", 64)}, {"a"}}, []int{1, 2}},
		"long without end":          {"a\n" + strings.Repeat("x", 500), rows{{"a"}, nil}, []int{1, 2}},
		"long with quotes":          {"\"" + strings.Repeat("x", 63) + "\"\na\n", rows{nil, {"a"}}, []int{1, 2}},
		"longest over two lines":    {"\"" + strings.Repeat("x", 30) + "\n" + strings.Repeat("x", 31) + "\"\r\na\n", rows{{strings.Repeat("x", 30) + "\n" + strings.Repeat("x", 31)}, {"a"}}, []int{1, 3}},
		"long over two lines":       {"\"" + strings.Repeat("x", 31) + "\n" + strings.Repeat("x", 33) + "\",y\na\n", rows{nil, {strings.Repeat("x", 33) + `"`, "y"}, {"a"}}, []int{1, 2, 3}},
	} {
		for reading, src := range map[string]io.Reader{
			"at once":      strings.NewReader(c.text),
			"byte by byte": iotest.OneByteReader(strings.NewReader(c.text)),
			"with the end": iotest.DataErrReader(strings.NewReader(c.text)),
		} {
			got, lines, _ := rowsOf(src, 64)
			if !slices.EqualFunc(got, c.want, func(a, b []string) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }) {
				t.Errorf("%s, %s: rows %q, want %q", name, reading, got, c.want)
			}
			if !slices.Equal(lines, c.lines) {
				t.Errorf("%s, %s: at lines %v, want %v", name, reading, lines, c.lines)
			}
		}
	}
}

func TestCSVRowErrors(t *testing.T) {
	for text, want := range map[string]string{
		"\"a\nb\n":                      errOpenQuote.Error(),
		"\"a\"b\n":                      errAfter.Error(),
		strings.Repeat("x", 100) + "\n": "the record is longer than 64 bytes",
	} {
		if _, _, errs := rowsOf(strings.NewReader(text), 64); len(errs) != 1 || !strings.Contains(errs[0].Error(), want) {
			t.Errorf("%.10q: %v, want one error with %q", text, errs, want)
		}
	}
	broken := errors.New("the disk is gone")
	src := io.MultiReader(strings.NewReader("a\n\"b"), iotest.ErrReader(broken))
	if rows, _, errs := rowsOf(src, 64); len(rows) != 1 || len(errs) != 1 || !errors.Is(errs[0], broken) {
		t.Errorf("a reader that fails: rows %q, errors %v", rows, errs)
	}
	for text, want := range map[string]int{"a\n\"b\nc": 1, strings.Repeat("x", 100): 0} { // inside a quoted row, inside a line too long
		src := io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))
		if rows, _, errs := rowsOf(src, 64); len(rows) != want || len(errs) != 1 || !errors.Is(errs[0], broken) {
			t.Errorf("a reader that fails after %.10q: rows %q, errors %v", text, rows, errs)
		}
	}
	if _, _, errs := rowsOf(stuckReader{}, 64); len(errs) != 1 || !errors.Is(errs[0], io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v, want %v", errs, io.ErrNoProgress)
	}
}

type stuckReader struct{}

func (stuckReader) Read([]byte) (int, error) { return 0, nil }

// What the standard library writes is read back unchanged, in whatever pieces
// it comes.
func TestCSVRoundTrip(t *testing.T) {
	field := rapid.OneOf(rapid.StringMatching(`[a-c",\n\r ]{0,6}`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.SliceOfN(field, 2, 4)).Draw(t, "rows")
		var text strings.Builder
		w := csv.NewWriter(&text)
		if rapid.Bool().Draw(t, "CRLF") {
			w.UseCRLF = true
			// This mode rewrites line ends inside of fields as well.
			for _, row := range want {
				for i := range row {
					row[i] = strings.NewReplacer("\r", "", "\n", "").Replace(row[i])
				}
			}
		}
		if err := w.WriteAll(want); err != nil {
			t.Fatal(err)
		}
		var src io.Reader = strings.NewReader(text.String())
		if rapid.Bool().Draw(t, "in pieces") {
			src = iotest.HalfReader(iotest.OneByteReader(src))
		}
		got, _, errs := rowsOf(src, maxRecord)
		if len(errs) != 0 || !slices.EqualFunc(got, want, slices.Equal[[]string]) {
			t.Fatalf("%q is read as %q, %v", text.String(), got, errs)
		}
	})
}

// Many rows, of which some do not end in the buffer: it is moved and grown.
func TestCSVAcrossBuffers(t *testing.T) {
	var text strings.Builder
	want := 0
	for i := range 3000 {
		text.WriteString(strconv.Itoa(i) + ",\"" + strings.Repeat("x\n", i%700) + "\"\n")
		want++
	}
	rows, _, errs := rowsOf(strings.NewReader(text.String()), maxRecord)
	if len(errs) != 0 || len(rows) != want {
		t.Fatalf("%d rows, %v; want %d", len(rows), errs, want)
	}
	for i, row := range rows {
		if row[0] != strconv.Itoa(i) || len(row[1]) != i%700*2 {
			t.Fatalf("row %d is %.20q… of %d bytes", i, row[0], len(row[1]))
		}
	}
}

func TestKindOf(t *testing.T) {
	for cell, want := range map[string]cellKind{
		"0": cellNumber, "-0": cellNumber, "7": cellNumber, "-7": cellNumber, "10": cellNumber,
		"9223372036854775807": cellNumber, "-9223372036854775808": cellNumber,
		"33.20": cellNumber, "0.5": cellNumber, "-0.50": cellNumber, "0.000": cellNumber, "100.00": cellNumber,
		"123456789012345.0": cellString, "12345678901234.0": cellNumber, "0.00000123456789012345": cellNumber, "0.1234567890123456": cellString,
		"9223372036854775808": cellString, "-9223372036854775809": cellString, "10000000000000000000": cellString,
		"": cellString, "-": cellString, "+1": cellString, "007": cellString, "-01": cellString, "00": cellString, "00.5": cellString,
		"1.": cellString, ".5": cellString, "-.5": cellString, "1.5.5": cellString, "1e5": cellString, "1,000": cellString,
		" 1": cellString, "1 ": cellString, "0x1": cellString, "NaN": cellString, "Infinity": cellString, "１": cellString,
		"true": cellTrue, "false": cellFalse, "True": cellString, "FALSE": cellString, "truee": cellString, "t": cellString, "null": cellString,
	} {
		if got := kindOf([]byte(cell)); got != want {
			t.Errorf("kindOf(%q) = %d, want %d", cell, got, want)
		}
	}
}

var numberCell = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// kindByRule is the rule as it is published, step by step.
func kindByRule(cell string) cellKind {
	switch {
	case cell == "true":
		return cellTrue
	case cell == "false":
		return cellFalse
	case !numberCell.MatchString(cell):
		return cellString
	}
	if !strings.Contains(cell, ".") {
		if _, err := strconv.ParseInt(cell, 10, 64); err != nil {
			return cellString
		}
		return cellNumber
	}
	if len(strings.TrimLeft(strings.NewReplacer("-", "", ".", "").Replace(cell), "0")) > 15 {
		return cellString
	}
	return cellNumber
}

func TestKindOfFollowsTheRule(t *testing.T) {
	cells := rapid.OneOf(
		rapid.StringMatching(`-?[0-9]{1,20}`),
		rapid.StringMatching(`-?[0-9]{0,10}\.[0-9]{0,17}`),
		rapid.StringMatching(`-?92233720368547758[0-9]{2}`),
		rapid.StringMatching(`[-+.e0-9]{1,6}`),
		rapid.SampledFrom([]string{"true", "false", "True"}),
		rapid.String(),
	)
	rapid.Check(t, func(t *rapid.T) {
		checkKind(t, cells.Draw(t, "cell"))
	})
}

func checkKind(t interface {
	Fatalf(format string, args ...any)
}, cell string,
) {
	got := kindOf([]byte(cell))
	if want := kindByRule(cell); got != want {
		t.Fatalf("kindOf(%q) = %d, want %d", cell, got, want)
	}
	if got != cellNumber {
		return
	}
	if !json.Valid([]byte(cell)) {
		t.Fatalf("%q is called a number and is none in JSON", cell)
	}
	if f, err := strconv.ParseFloat(cell, 64); err != nil || math.IsInf(f, 0) {
		t.Fatalf("%q is called a number and is %v, %v", cell, f, err)
	}
}

func FuzzCSVRow(f *testing.F) {
	for _, seed := range []string{
		"a,b\nc,d\n", "\"a,b\",\"c \"\"d\"\"\"\n", "\"a\nb\",c\r\n", "\"never\nclosed", "\"a\"b\n", "5\" pipe\n", "\xef\xbb\xbfa\n", "\r\r\n", ",,,\n\n\"\"",
		"33.20,-7,true\n", "\x00,\xff\n", "\"\"\"\n\"\"\"\n", "9223372036854775808,0.1234567890123456\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, lines, errs := rowsOf(strings.NewReader(text), 1<<10)
		slow, slowLines, slowErrs := rowsOf(iotest.OneByteReader(strings.NewReader(text)), 1<<10)
		if !slices.EqualFunc(got, slow, slices.Equal[[]string]) || !slices.Equal(lines, slowLines) || len(errs) != len(slowErrs) {
			t.Fatalf("%q is read as %q at %v (%v) at once, %q at %v (%v) byte by byte", text, got, lines, errs, slow, slowLines, slowErrs)
		}
		if !slices.IsSorted(lines) || len(slices.Compact(slices.Clone(lines))) != len(lines) {
			t.Fatalf("%q: rows at lines %v", text, lines)
		}
		for _, row := range got {
			for _, cell := range row {
				checkKind(t, cell)
			}
		}
		// What the standard library takes as a whole reads the same here, but for
		// \r\n, which it turns into \n inside of quotes.
		std := csv.NewReader(strings.NewReader(text))
		std.FieldsPerRecord = -1
		want, err := std.ReadAll()
		if err != nil || strings.Contains(text, "\r") || len(errs) != 0 {
			return
		}
		if !slices.EqualFunc(got, want, slices.Equal[[]string]) {
			t.Fatalf("%q is read as %q, by the standard library as %q", text, got, want)
		}
	})
}
