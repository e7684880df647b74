package decode

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/rules"
)

func testSet(t testing.TB) *rules.Set {
	t.Helper()
	s := &rules.Set{Fields: []string{"price", "name", "items", "ok", "type"}}
	if err := s.Index(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDecodeTakesWhatIsRead(t *testing.T) {
	d := New(testSet(t), input.Mapping{})
	var ev rules.Event
	value := `{"id":"e1","type":"view","user":"u\u00e91","time":"2026-01-01T00:00:00.123Z","price":12.5,` +
		`"name":"a \"b\" \n","items":[1, {"x":2}],"ok":true,"other":{"deep":[1,2,3]}}`
	if err := d.Decode(&ev, []byte(value)); err != nil {
		t.Fatal(err)
	}
	if ev.ID != "e1" || ev.Type != "view" || ev.User != "ué1" || ev.Time != 1767225600123 {
		t.Errorf("event %+v", ev)
	}
	if v := ev.Field(0); v.Kind != rules.Float || v.Float() != 12.5 {
		t.Errorf("price %+v", v)
	}
	if v := ev.Field(1); v.Kind != rules.String || v.Str() != "a \"b\" \n" {
		t.Errorf("name %q", v.Str())
	}
	if v := ev.Field(2); v.Kind != rules.JSON || v.Str() != `[1, {"x":2}]` {
		t.Errorf("items %q", v.Str())
	}
	if v := ev.Field(3); v.Kind != rules.Bool || !v.Bool() {
		t.Errorf("ok %+v", v)
	}
	if v := ev.Field(4); v.Str() != "view" {
		t.Errorf("type is a field too: %+v", v)
	}
	// The next event does not see the fields of this one.
	if err := d.Decode(&ev, []byte(`{"type":"view","user":7,"time":1767225600,"price":null}`)); err != nil {
		t.Fatal(err)
	}
	if ev.User != "7" || ev.Time != 1767225600000 || ev.Field(0).Present() || ev.Field(1).Present() {
		t.Errorf("second event %+v", ev)
	}
}

func TestDecodeNumbers(t *testing.T) {
	d := New(testSet(t), input.Mapping{})
	for text, want := range map[string]rules.Value{
		"0":                   rules.IntValue(0),
		"-7":                  rules.IntValue(-7),
		"9223372036854775807": rules.IntValue(9223372036854775807),
		"9223372036854775808": rules.FloatValue(9223372036854775808),
		"1.0":                 rules.FloatValue(1),
		"1e3":                 rules.FloatValue(1000),
	} {
		var ev rules.Event
		if err := d.Decode(&ev, []byte(`{"type":"v","user":"u","time":1,"price":`+text+`}`)); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if ev.Field(0) != want {
			t.Errorf("%s: %+v, want %+v", text, ev.Field(0), want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	d := New(testSet(t), input.Mapping{})
	for value, want := range map[string]string{
		"":             "not a JSON object",
		"\x00\xff\x01": "not a JSON object",
		"[1]":          "not a JSON object",
		`{"type":"v","user":"u","time":"2026-01-01T00:00:00Z"`:              "not a JSON object",
		`{"type":"v","user":"u","time":"2026-01-01T00:00:00Z"} {"a":1}`:     "more after its end",
		`{"type":"v","user":"u","time":"2026-01-01T00:00:00Z"}}`:            "more after its end",
		`{"type":"v","user":"u","time":"2026-01-01T00:00:00Z","other":tru}`: "not a JSON object",
		`{"type":"v","time":"2026-01-01T00:00:00Z"}`:                        "has no user",
		`{"type":"v","user":null,"time":"2026-01-01T00:00:00Z"}`:            "has no user",
		`{"type":"v","user":"","time":"2026-01-01T00:00:00Z"}`:              "user is empty",
		`{"type":"v","user":{"a":1},"time":"2026-01-01T00:00:00Z"}`:         "user is a json",
		`{"type":"v","user":"a\u0000b","time":"2026-01-01T00:00:00Z"}`:      "NUL",
		`{"type":3,"user":"u","time":"2026-01-01T00:00:00Z"}`:               "type is a int",
		`{"user":"u","time":"2026-01-01T00:00:00Z"}`:                        "has no type",
		`{"type":"v","user":"u"}`:                                           "has no time",
		`{"type":"v","user":"u","time":"yesterday"}`:                        "neither RFC 3339",
		`{"type":"v","user":"u","time":"0001-01-01T00:00:00Z"}`:             "before 1970",
		`{"type":"v","user":"u","time":true}`:                               "time is a bool",
		`{"type":"v","user":"u","time":1,"price":1e999}`:                    "out of range",
		`{"type":"v","user":"` + strings.Repeat("x", 513) + `","time":1}`:   "at most 512",
		"{\"type\":\"v\",\"user\":\"\xff\",\"time\":1}":                     "",
	} {
		var ev rules.Event
		err := d.Decode(&ev, []byte(value))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: error %v, want one with %q", value, err, want)
		}
	}
}

func TestDecodeMapping(t *testing.T) {
	none := ""
	d := New(testSet(t), input.Mapping{
		Fields: input.Fields{User: "user_id", Time: "event_time", Type: "event_type", ID: &none},
		Types:  map[string]string{"view": "product_view"}, TimeFormat: "2006-01-02 15:04:05 MST",
	})
	var ev rules.Event
	if err := d.Decode(&ev, []byte(`{"id":"x","event_type":"view","user_id":5,"event_time":"2019-10-01 00:00:00 UTC"}`)); err != nil {
		t.Fatal(err)
	}
	if ev.ID != "" || ev.Type != "product_view" || ev.User != "5" || ev.Time != 1569888000000 {
		t.Errorf("event %+v", ev)
	}
}

// FuzzDecode holds the decoder against encoding/json: it never panics, takes
// nothing that is not JSON, and reads the same strings.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"id":"e1","type":"view","user":"u1","time":"2026-01-01T00:00:00.123Z","price":12.5}`,
		`{"type":"v","user":"\ud83d\ude00","time":1767225600.5,"items":[[]],"name":"\\"}`,
		`{"type":"v","user":"u","user":"w","time":1}`, `{`, ``, `null`, `{"a":}`,
	} {
		f.Add([]byte(s))
	}
	set := testSet(f)
	f.Fuzz(func(t *testing.T, value []byte) {
		d := New(set, input.Mapping{})
		var ev rules.Event
		if d.Decode(&ev, value) != nil {
			return
		}
		var std map[string]any
		if err := json.Unmarshal(value, &std); err != nil {
			t.Fatalf("took what is not JSON: %v", err)
		}
		if u, ok := std["user"].(string); ok && u != ev.User {
			t.Errorf("user %q, encoding/json reads %q", ev.User, u)
		}
		if n, ok := std["name"].(string); ok && ev.Field(1).Str() != n {
			t.Errorf("name %q, encoding/json reads %q", ev.Field(1).Str(), n)
		}
	})
}

// FuzzScan holds the short way against the long one: what it takes, jx takes
// too, with the same result.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{"id":"e1","type":"view","user":"u1","time":"2026-01-01T00:00:00.123Z","price":12.5}`,
		` { "type" : "v" , "user" : 7 , "time" : -0.5e+3 , "ok" : true , "name" : null } `,
		`{"user":"u","user":null,"type":"v","time":1}`, `{"a":01}`, `{"a":1.}`, `{"a":-}`, `{}x`, `{"a":"\u0041"}`, `{"price":1e999}`,
		"{\"a\":\"\x1f\"}", "{\"a\":\"\xc3\xa9\"}", `{"user":"u","type":"v","time":1,"a":"12\" \n\\"}`, `{"a":"\x"}`, `{"a":"\`,
	} {
		f.Add([]byte(s))
	}
	set := testSet(f)
	f.Fuzz(func(t *testing.T, value []byte) {
		d := New(set, input.Mapping{})
		var fast, slow rules.Event
		fast.Fields, slow.Fields = make([]rules.Value, len(set.Fields)), make([]rules.Value, len(set.Fields))
		d.begin(&fast, value)
		done, err := d.scan(value)
		if done && err == nil {
			err = d.check()
		}
		if !done {
			return
		}
		d.begin(&slow, value)
		if slowErr := d.decode(); (err == nil) != (slowErr == nil) {
			t.Fatalf("short way: %v, long way: %v", err, slowErr)
		}
		if err == nil && !reflect.DeepEqual(fast, slow) {
			t.Fatalf("short way: %+v, long way: %+v", fast, slow)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	d := New(testSet(b), input.Mapping{})
	value := []byte(`{"id":"e0000001","type":"search","user":"u000123","time":"2026-01-01T00:00:00.123Z","session":"s-123456789",` +
		`"url":"/search?q=water","query":"water","product":"p12345","price":12.50,"source":"google","device":"mobile"}`)
	var ev rules.Event
	b.ReportAllocs()
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		if err := d.Decode(&ev, value); err != nil {
			b.Fatal(err)
		}
	}
}
