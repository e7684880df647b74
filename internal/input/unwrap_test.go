package input

import (
	"encoding/json"
	"iter"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules/eventtime"
)

// headersOf makes headers of name, value, name, value.
func headersOf(pairs ...string) Headers {
	return func(yield func(string, []byte) bool) {
		for i := 0; i < len(pairs); i += 2 {
			if !yield(pairs[i], []byte(pairs[i+1])) {
				return
			}
		}
	}
}

func TestCloudEventModes(t *testing.T) {
	binary := []string{"ce_specversion", "1.0", "ce_id", "1", "ce_source", "/s", "ce_type", "t", "ce_subject", "u1", "ce_time", "2026-01-01T00:00:00Z"}
	const structured = `{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"u1","time":"2026-01-01T00:00:00Z","data":{"sku":"a"}}`
	const fromBinary = `{"type":"t","user":"u1","time":"2026-01-01T00:00:00Z","id":"/s#1","sku":"a","ce_source":"/s","ce_subject":"u1"}`
	with := func(more ...string) Headers { return headersOf(append(append([]string{}, binary...), more...)...) }
	for name, c := range map[string]struct {
		value   string
		headers Headers
		want    string // the event, or "! " and a part of the error
	}{
		"binary":             {`{"sku":"a"}`, with("content-type", "application/json"), fromBinary},
		"binary, no type":    {`{"sku":"a"}`, with("other", "\xff"), fromBinary},
		"capitals":           {`{"sku":"a"}`, headersOf("CE_SpecVersion", "1.0", "Ce_Id", "1", "ce_source", "/s", "ce_type", "t", "ce_subject", "u1", "ce_time", "2026-01-01T00:00:00Z", "Content-Type", "application/json"), fromBinary},
		"binary, no data":    {"", with(), `{"type":"t","user":"u1","time":"2026-01-01T00:00:00Z","id":"/s#1","ce_source":"/s","ce_subject":"u1"}`},
		"binary, text":       {`he said "hi"`, with("content-type", "text/plain"), `{"type":"t","user":"u1","time":"2026-01-01T00:00:00Z","id":"/s#1","data":"he said \"hi\"","ce_source":"/s","ce_subject":"u1"}`},
		"binary, extension":  {`{"sku":"a"}`, with("ce_shopid", "7"), strings.Replace(fromBinary, `"u1"}`, `"u1","ce_shopid":"7"}`, 1)},
		"structured by type": {structured, headersOf("content-type", "application/cloudevents+json; charset=UTF-8"), fromBinary},
		"structured wins":    {structured, with("content-type", "application/cloudevents+json"), fromBinary},
		"structured":         {structured, nil, fromBinary},
		"binary, broken":     {`{"sku":`, with("content-type", "application/json"), "! data: not valid JSON"},
		"binary, more":       {`{} {}`, with(), "! data: not valid JSON"},
		"Avro form":          {"\x00", headersOf("content-type", "application/cloudevents+avro"), "! application/cloudevents+avro cannot be read"},
		"a header twice":     {`{}`, with("ce_id", "2"), "! header ce_id is there twice"},
		"header not UTF-8":   {`{}`, with("ce_x", "\xff"), "! header ce_x is not UTF-8"},
		"not UTF-8":          {"\xff", with("content-type", "text/plain"), "! not UTF-8"},
		"neither":            {`{"a":1}`, headersOf("content-type", "application/json"), "! no specversion"},
		"no specversion":     {`{"sku":"a"}`, headersOf("ce_id", "1"), "! no specversion"},
	} {
		got, err := NewUnwrapper(Mapping{Format: FormatCloudEvents}, nil).Append(nil, []byte(c.value), c.headers, "")
		if part, wrong := strings.CutPrefix(c.want, "! "); wrong {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %s, %v; want an error with %q", name, got, err, part)
			}
		} else if err != nil || string(got) != c.want {
			t.Errorf("%s:\n got %s, %v\nwant %s", name, got, err, c.want)
		}
	}
}

// What the CloudEvents SDK writes is read back, in both modes to the same event.
func TestCloudEventsSDK(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := cloudevents.New()
		text := rapid.StringMatching(`[a-z"\\é가][a-zA-Z0-9 /]{0,9}[A-Z"]`) // the SDK trims spaces
		e.SetID(text.Draw(rt, "id"))
		e.SetSource("/" + rapid.StringMatching(`[a-z]{1,8}`).Draw(rt, "source"))
		e.SetType(text.Draw(rt, "type"))
		e.SetSubject(text.Draw(rt, "subject"))
		ms := rapid.Int64Range(0, 4e12).Draw(rt, "time")
		e.SetTime(time.UnixMilli(ms))
		e.SetExtension("shop", text.Draw(rt, "extension"))
		data := map[string]any{"sku": text.Draw(rt, "sku"), "n": rapid.IntRange(-1000, 1000).Draw(rt, "n")}
		if err := e.SetData("application/json", data); err != nil {
			rt.Fatal(err)
		}
		if e.Validate() != nil {
			rt.Skip("not a CloudEvent by the SDK")
		}
		structured, err := json.Marshal(e)
		if err != nil {
			rt.Fatal(err)
		}
		u := NewUnwrapper(Mapping{Format: FormatCloudEvents}, nil)
		one, err := u.Append(nil, structured, headersOf("content-type", "application/cloudevents+json"), "")
		if err != nil {
			rt.Fatalf("structured %s: %v", structured, err)
		}
		two, err := u.Append(nil, e.Data(), headersOf("ce_specversion", e.SpecVersion(), "ce_id", e.ID(), "ce_source", e.Source(),
			"ce_type", e.Type(), "ce_subject", e.Subject(), "ce_time", e.Time().Format(time.RFC3339Nano), "ce_shop", e.Extensions()["shop"].(string),
			"content-type", "application/json"), "")
		if err != nil {
			rt.Fatalf("binary: %v", err)
		}
		for _, flat := range [][]byte{one, two} {
			var got struct {
				ID, Type, User string
				Time           time.Time
				SKU            string
				N              int
				CEShop         string `json:"ce_shop"`
			}
			if err := json.Unmarshal(flat, &got); err != nil {
				rt.Fatalf("%s: %v", flat, err)
			}
			if got.ID != e.Source()+"#"+e.ID() || got.Type != e.Type() || got.User != e.Subject() || got.Time.UnixMilli() != ms ||
				got.SKU != data["sku"] || got.N != data["n"] || got.CEShop != e.Extensions()["shop"] {
				rt.Fatalf("%s is not %s", flat, structured)
			}
		}
	})
}

// Only what is wanted is written, and a name that many fields would get goes to
// the first.
func TestUnwrapKeeps(t *testing.T) {
	u := NewUnwrapper(Mapping{Format: FormatSegment}, func(name string) bool { return name == "context_page_path" || name == "price" })
	const value = `{"type":"track","event":"e","userId":"u","timestamp":1767225600,"properties":{"price":1,"sku":"a"},` +
		`"price":2,"context":{"page":{"path":"/","url":"x"},"ip":"1"}}`
	got, err := u.Append([]byte("before "), []byte(value), nil, "")
	if want := `before {"type":"e","user":"u","time":"2026-01-01T00:00:00Z","price":1,"context_page_path":"/"}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}

func TestUnwrapDepth(t *testing.T) {
	value := `{"type":"track","event":"e","userId":"u","timestamp":1,"context":` + strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000) + "}"
	got, err := NewUnwrapper(Mapping{Format: FormatSegment}, nil).Append(nil, []byte(value), nil, "")
	if err != nil || !json.Valid(got) {
		t.Errorf("got %.100s…, %v", got, err)
	}
	if !strings.Contains(string(got), `"context_a_a_a_a_a_a":{"a":{`) {
		t.Errorf("flattened to another depth: %.200s", got)
	}
}

func BenchmarkUnwrap(b *testing.B) {
	value := []byte(`{"type":"track","event":"Order Completed","userId":"u1","anonymousId":"anon-7","messageId":"ajs-1","timestamp":"2026-01-01T00:00:00.123Z",` +
		`"properties":{"order_id":"o-9","revenue":25.50,"products":[{"sku":"a","price":9.5}]},"context":{"ip":"203.0.113.7","page":{"path":"/checkout"}}}`)
	u := NewUnwrapper(Mapping{Format: FormatSegment}, func(name string) bool { return name == "revenue" })
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = u.Append(dst[:0], value, nil, ""); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzUnwrap: whatever the record, an Unwrapper gives a flat event or an error.
// The event is JSON without a name twice, and what it says of the four fields
// can be read back.
func FuzzUnwrap(f *testing.F) {
	for _, name := range []string{"segment", "cloudevents", "ga4"} {
		for line := range lines(f, "testdata/golden/"+name+".jsonl") {
			f.Add([]byte(line), "", "")
		}
	}
	f.Add([]byte(`{"sku":"a"}`), "ce_specversion", "1.0")
	f.Add([]byte(`{"user":"u","type":"t","time":1,"a":{"b":null}}`), "content-type", "application/json")
	f.Fuzz(func(t *testing.T, value []byte, header, text string) {
		headers := headersOf("ce_id", "1", "ce_source", "/s", "ce_type", "t", "ce_subject", "u", "ce_time", "2026-01-01T00:00:00Z", header, text)
		for _, format := range []string{FormatSegment, FormatCloudEvents, FormatGA4, FormatRegistry} {
			got, err := NewUnwrapper(Mapping{Format: format}, nil).Append(nil, value, headers, "")
			if err != nil {
				continue
			}
			var e struct {
				Type, User, Time *string
				ID               string
			}
			if err := json.Unmarshal(got, &e); err != nil || e.Type == nil || e.User == nil || e.Time == nil {
				t.Fatalf("%s: %q gives %s: %v", format, value, got, err)
			}
			if _, ok := eventtime.ParseRFC3339([]byte(*e.Time)); !ok || *e.User == "" || *e.Type == "" {
				t.Fatalf("%s: %q gives %s", format, value, got)
			}
			requireNamesOnce(t, got)
		}
	})
}

func requireNamesOnce(t *testing.T, object []byte) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(object)))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		if seen[name.(string)] {
			t.Fatalf("%q is there twice: %s", name, object)
		}
		seen[name.(string)] = true
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			t.Fatal(err)
		}
	}
}

// lines are those of a file.
func lines(f *testing.F, path string) iter.Seq[string] {
	return strings.SplitSeq(readFileText(f, path), "\n")
}
