package input

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// eventsOf reads a JSONL text.
func eventsOf(src io.Reader, m Mapping, most int) (recs []Record, err error) {
	j := newJSONLEvents(newWindow(src, most), m)
	for {
		rec, err := j.next()
		if errors.Is(err, io.EOF) {
			return recs, nil
		}
		if err != nil {
			return recs, err
		}
		recs = append(recs, rec)
	}
}

const canonicalLine = `{"id":"e1","type":"t","user":"u","time":"2026-01-01T00:00:00Z"}`

func TestJSONLLines(t *testing.T) {
	most := len(canonicalLine)
	fine, long := canonicalLine, canonicalLine+" "
	for name, c := range map[string]struct {
		text string
		want []string // "line: ok" or "line! start of the error"
	}{
		"empty":             {"", nil},
		"blank lines":       {"\n \n\t\r\n", nil},
		"two":               {fine + "\n" + fine + "\n", []string{"1: ok", "2: ok"}},
		"no line end":       {fine + "\n\n" + fine, []string{"1: ok", "3: ok"}},
		"CRLF":              {fine + "\r\n" + fine + "\r\n", []string{"1: ok", "2: ok"}},
		"too long":          {long + "\n" + fine + "\n", []string{"1! the record is longer", "2: ok"}},
		"much too long":     {strings.Repeat("x", 10*most) + "\r\n" + fine + "\n", []string{"1! the record is longer", "2: ok"}},
		"too long, at end":  {fine + "\n" + long, []string{"1: ok", "2! the record is longer"}},
		"endless":           {fine + "\n" + strings.Repeat("x", 10*most), []string{"1: ok", "2! the record is longer"}},
		"endless and blank": {strings.Repeat("x", 10*most) + "\n\n" + fine, []string{"1! the record is longer", "3: ok"}},
	} {
		for reading, src := range map[string]io.Reader{
			"at once":      strings.NewReader(c.text),
			"byte by byte": iotest.OneByteReader(strings.NewReader(c.text)),
			"with the end": iotest.DataErrReader(strings.NewReader(c.text)),
		} {
			recs, err := eventsOf(src, Mapping{}, most)
			var got []string
			for _, rec := range recs {
				if rec.Err != nil {
					got = append(got, fmt.Sprintf("%d! %.20s", rec.Line, rec.Err))
				} else {
					got = append(got, fmt.Sprintf("%d: ok", rec.Line))
				}
			}
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s, %s: %q, %v; want %q", name, reading, got, err, c.want)
			}
		}
	}
}

// A line of the largest size is read, and one byte more is refused, with the
// limit that is in force.
func TestSixteenMiB(t *testing.T) {
	line := func(size int) string {
		const head, tail = `{"id":"e1","type":"t","user":"u","time":"2026-01-01T00:00:00Z","x":"`, `"}`
		return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
	}
	const limit = 16 << 20
	text := line(limit) + "\n" + line(limit+1) + "\n" + canonicalLine + "\n"
	recs, err := eventsOf(strings.NewReader(text), Mapping{}, maxRecord)
	if err != nil || len(recs) != 3 {
		t.Fatalf("%d records, %v; want 3", len(recs), err)
	}
	if recs[0].Err != nil || len(recs[0].Value) != limit {
		t.Errorf("16 MiB: %d bytes, %v", len(recs[0].Value), recs[0].Err)
	}
	if recs[1].Err == nil {
		t.Error("16 MiB and a byte are read")
	}
	if recs[2].Err != nil {
		t.Errorf("the line after: %v", recs[2].Err)
	}
}

// What is yielded stays as it is while reading goes on.
func TestRecordsAreTheCallersToKeep(t *testing.T) {
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, `{"id":"e%d","type":"t","user":"u%d","time":"2026-01-01T00:00:00Z"}`+"\n", i, i)
		fmt.Fprintf(&text, `{"id":"f%d","type":"t","user":%d,"time":0}`+"\n", i, i)
	}
	recs, err := eventsOf(strings.NewReader(text.String()), Mapping{}, maxRecord)
	if err != nil || len(recs) != 10_000 {
		t.Fatal(len(recs), err)
	}
	for i := range 5000 {
		a, b := recs[2*i], recs[2*i+1]
		if want := fmt.Sprintf(`{"id":"e%d","type":"t","user":"u%d","time":"2026-01-01T00:00:00Z"}`, i, i); string(a.Value) != want || a.User != fmt.Sprint("u", i) {
			t.Fatalf("record %d is %s of %s, want %s", 2*i, a.Value, a.User, want)
		}
		if want := fmt.Sprintf(`{"id":"f%d","type":"t","user":"%d","time":"1970-01-01T00:00:00Z"}`, i, i); string(b.Value) != want || b.User != fmt.Sprint(i) {
			t.Fatalf("record %d is %s of %s, want %s", 2*i+1, b.Value, b.User, want)
		}
	}
}

func TestCSVRecordsAreTheCallersToKeep(t *testing.T) {
	text := "id,type,user,time\ne1,t,u1,0\ne2,t,u2,0\n"
	c, err := newCSVEvents(newWindow(strings.NewReader(text), maxRecord), Mapping{}.plan())
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.next()
	if err != nil || first.Err != nil {
		t.Fatal(err, first.Err)
	}
	before := string(first.Value)
	if second, err := c.next(); err != nil || second.Err != nil || string(second.Value) == before {
		t.Fatalf("the second record is %+v, %v", second, err)
	}
	if string(first.Value) != before {
		t.Errorf("the first record was %s and is %s after the next was read", before, first.Value)
	}
}

// Whatever stands behind the object, complete or cut off, the line is refused.
func TestNothingFollowsTheObject(t *testing.T) {
	for _, behind := range []string{"{", "{}", "[", "[]", "-", "1", "1.", "1e", "\"", "\"a\"", "t", "true", "n", "nul", "x", ",", ":", "}", "]", "\x00", " \v", "\u00a0"} {
		for _, space := range []string{"", " ", "\t\r "} {
			recs, err := eventsOf(strings.NewReader(canonicalLine+space+behind), Mapping{}, maxRecord)
			if err != nil || len(recs) != 1 || recs[0].Err == nil {
				t.Errorf("%q behind the object: %+v, %v; want an error", space+behind, recs, err)
			}
		}
	}
}

var renaming = Mapping{
	Fields: Fields{User: "uid", Time: "ts", Type: "event", ID: ptr("eid")},
	Types:  map[string]string{"cart": "add_to_cart", "\"": "é\n"},
}

// checkLine reads a line by a mapping and compares the event with what the
// standard library reads of the line.
func checkLine(t interface {
	Fatalf(format string, args ...any)
}, line []byte, m Mapping,
) {
	if bytes.IndexByte(line, '\n') >= 0 {
		return
	}
	recs, err := eventsOf(bytes.NewReader(line), m, 1<<16)
	if err != nil || len(recs) > 1 {
		t.Fatalf("%q gives %d records, %v", line, len(recs), err)
	}
	if len(recs) == 0 {
		if len(bytes.TrimSpace(line)) != 0 {
			t.Fatalf("%q gives nothing", line)
		}
		return
	}
	rec := recs[0]
	if rec.Err != nil {
		if rec.Value != nil {
			t.Fatalf("%q gives both %s and the error %v", line, rec.Value, rec.Err)
		}
		return
	}

	in, out := fieldsOf(line), fieldsOf(rec.Value)
	if in == nil || out == nil {
		t.Fatalf("%q becomes %q: the standard library reads %v and %v", line, rec.Value, in, out)
	}
	p := m.plan()
	wantType := fmt.Sprint(in[p.typ])
	if to, renamed := p.types[wantType]; renamed {
		wantType = string(to)
	}
	if out[fieldType] != wantType || fmt.Sprint(in[p.user]) != rec.User {
		t.Fatalf("%q becomes %s", line, rec.Value)
	}
	if user, ok := out[fieldUser].(string); !ok || user != rec.User || user == "" {
		t.Fatalf("%q becomes %s, of user %q", line, rec.Value, rec.User)
	}
	if id, ok := out[fieldID].(string); !ok || id == "" {
		t.Fatalf("%q becomes %s, without an id", line, rec.Value)
	} else if had := fmt.Sprint(in[p.id]); p.id != "" && in[p.id] != nil && had != "" && had != id {
		t.Fatalf("%q becomes %s: the id has changed", line, rec.Value)
	}
	when, ok := out[fieldTime].(string)
	if milli, err := ParseTime([]byte(when), ""); !ok || err != nil || milli != rec.Time {
		t.Fatalf("%q becomes %s: its time is %d, %v, and %d beside it", line, rec.Value, milli, err, rec.Time)
	}
	for _, name := range []string{p.user, p.time, p.typ, p.id} {
		if name != "" { // an id that is derived stands in no field
			delete(in, name)
		}
	}
	for _, name := range []string{fieldUser, fieldTime, fieldType, fieldID} {
		delete(out, name)
	}
	if !reflect.DeepEqual(in, out) {
		t.Fatalf("%q becomes %s: other fields were %v and are %v", line, rec.Value, in, out)
	}

	// A canonical event is passed through.
	again, err := eventsOf(bytes.NewReader(rec.Value), Mapping{}, 1<<17)
	if err != nil || len(again) != 1 || again[0].Err != nil || !bytes.Equal(bytes.TrimSpace(again[0].Value), bytes.TrimSpace(rec.Value)) {
		t.Fatalf("%q becomes %q, which is read again as %+v, %v", line, rec.Value, again, err)
	}
}

func fieldsOf(line []byte) map[string]any {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var fields map[string]any
	if !json.Valid(line) || d.Decode(&fields) != nil {
		return nil
	}
	return fields
}

func TestJSONLAgainstTheStandardLibrary(t *testing.T) {
	names := rapid.OneOf(
		rapid.SampledFrom([]string{"id", "type", "user", "time", "eid", "event", "uid", "ts", "x"}),
		rapid.StringMatching(`[a-z"\\\n\x{e9}]{0,4}`),
	)
	text := rapid.StringMatching(`[a-z"\\\n\t\x{e9}\x{1f6d2}]{0,5}`)
	values := rapid.OneOf(
		rapid.Map(text, func(s string) any { return s }),
		rapid.SampledFrom([]any{"cart", "2026-01-01T00:00:00.5Z", 1767225600, 1767225600123, -1, 1.5, true, nil, []any{1, "a"}, map[string]any{"b": nil}, ""}),
	)
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.SampledFrom([]Mapping{{}, renaming, {Fields: Fields{ID: ptr("")}}}).Draw(t, "mapping")
		p := m.plan()
		fields := rapid.MapOfN(names, values, 0, 4).Draw(t, "others")
		for name, likely := range map[string][]any{
			p.user: {"u1", "é\"", 42, values.Draw(t, "user")},
			p.time: {"2026-01-01T09:00:00.25+09:00", 1767225600, "1767225600", values.Draw(t, "time")},
			p.typ:  {"cart", "view", "\"", values.Draw(t, "type")},
			p.id:   {"e1", 7, nil, "", values.Draw(t, "id")},
		} {
			if name != "" {
				fields[name] = rapid.SampledFrom(likely).Draw(t, name)
			}
		}
		line, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		checkLine(t, line, m)
	})
}

func FuzzJSONL(f *testing.F) {
	for _, seed := range []string{
		canonicalLine, " " + canonicalLine + " ", canonicalLine + canonicalLine, "", "{}", "[]", "null", "\xef\xbb\xbf{}",
		`{"type":"t","user":1,"time":1767225600}`,
		`{"id":null,"type":"\"","user":"\u00e9","time":"1767225600123.5","a":{"b":[1e5,-0,"\ud83d\uded2"]}}`,
		`{"eid":7,"event":"cart","uid":42,"ts":0,"k\"\n":"v"}`,
		`{"eid":"","event":"\"","uid":"u","ts":"2026-01-01T09:00:00+09:00","x":1,"x":2}`,
		`{"id":"e","type":"t","user":"\u0000","time":0}`,
		`{"id":"e","type":"t","user":"\ud800","time":0}`,
		`{"id":"e","type":"t","user":"u","time":0,"n":01}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		checkLine(t, line, Mapping{})
		checkLine(t, line, renaming)
	})
}

func BenchmarkJSONL(b *testing.B) {
	var canonical, renamed strings.Builder
	const rows = 20_000
	for i := range rows {
		const rest = `"product_id":44600062,"category_id":2103807459595387724,"brand":"shiseido","price":35.79,"user_session":"72d76fde-8bb3-4e00-8c23-a032dfed738c"}`
		fmt.Fprintf(&canonical, `{"id":"e%d","type":"product_view","user":"%d","time":"2019-10-01T00:00:00Z",%s`+"\n", i, i, rest)
		fmt.Fprintf(&renamed, `{"eid":"e%d","event":"product_view","uid":%d,"ts":"2019-10-01T00:00:00Z",%s`+"\n", i, i, rest)
	}
	for name, c := range map[string]struct {
		text string
		m    Mapping
	}{"pass through": {canonical.String(), Mapping{}}, "rewrite": {renamed.String(), renaming}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				recs, err := eventsOf(strings.NewReader(c.text), c.m, maxRecord)
				if err != nil || recs[0].Err != nil {
					b.Fatal(err, recs[0].Err)
				}
				n += len(recs)
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
