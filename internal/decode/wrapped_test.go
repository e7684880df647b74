package decode

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// Every file of internal/input's golden tests whose format wraps events: the
// daemon takes from a record what it takes from the flat event that a file is
// turned into, and refuses the same records.
func TestLiveAgreesWithFiles(t *testing.T) {
	set := &rules.Set{Fields: []string{"revenue", "products", "properties_id", "context_page_path", "type", "data_user", "sku", "ce_source", "value", "items", "event_params_type", "device_category", "user"}}
	if err := set.Index(); err != nil {
		t.Fatal(err)
	}
	maps, err := filepath.Glob("../input/testdata/golden/*.jsonl.yaml")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, path := range maps {
		m, err := input.LoadMapping(path)
		if err != nil {
			t.Fatal(err)
		}
		if !m.Wraps() {
			continue
		}
		live, flat := NewWrapped(set, m, nil), New(set, input.Mapping{})
		lines := fileLines(t, strings.TrimSuffix(path, ".yaml"))
		for rec, err := range input.ReadFiles([]string{strings.TrimSuffix(path, ".yaml")}, input.Options{Mapping: m}) {
			if err != nil {
				t.Fatal(err)
			}
			var got, want rules.Event
			liveErr := live.Decode(&got, []byte(lines[rec.Line-1]))
			if (liveErr == nil) != (rec.Err == nil) || rec.Err != nil && !strings.HasSuffix(rec.Err.Error(), liveErr.Error()) {
				t.Errorf("%s:%d: the file gives %v, the daemon %v", path, rec.Line, rec.Err, liveErr)
				continue
			}
			if rec.Err != nil {
				continue
			}
			if err := flat.Decode(&want, rec.Value); err != nil {
				t.Fatal(err)
			}
			if got.ID == "" {
				want.ID = "" // derived, by place: live the caller does it
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s:%d: the daemon reads\n%+v\nthe file gives\n%+v", path, rec.Line, got, want)
			}
			compared++
		}
	}
	if compared < 10 {
		t.Errorf("%d events compared: where are the golden files?", compared)
	}
}

func fileLines(t *testing.T, path string) []string {
	t.Helper()
	text, err := readFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(text, "\n")
}

// Events of one chunk live at the same time, while the record's memory is used
// again.
func TestWrappedEventsStandAlone(t *testing.T) {
	d := NewWrapped(testSet(t), input.Mapping{Format: input.FormatSegment}, nil)
	events := make([]rules.Event, 3000)
	for i := range events {
		value := []byte(`{"type":"track","event":"v","userId":"u` + strings.Repeat("x", i%100) + `","timestamp":1,"properties":{"name":"n` + strings.Repeat("y", i%90) + `"}}`)
		if err := d.Decode(&events[i], value); err != nil {
			t.Fatal(err)
		}
		for j := range value {
			value[j] = '#'
		}
	}
	for i := range events {
		if want := "u" + strings.Repeat("x", i%100); events[i].User != want {
			t.Fatalf("event %d: user %q, want %q", i, events[i].User, want)
		}
		if want := "n" + strings.Repeat("y", i%90); events[i].Field(1).Str() != want {
			t.Fatalf("event %d: name %q, want %q", i, events[i].Field(1).Str(), want)
		}
	}
}

func TestBinaryCloudEvent(t *testing.T) {
	d := NewWrapped(testSet(t), input.Mapping{Format: input.FormatCloudEvents, Fields: input.Fields{User: "data.user"}}, nil)
	var ev rules.Event
	err := d.DecodeRecord(t.Context(), &ev, []byte(`{"user":7,"price":1.5}`), []sinks.Header{
		{Key: "ce_specversion", Value: []byte("1.0")},
		{Key: "ce_id", Value: []byte("1")},
		{Key: "ce_source", Value: []byte("/s")},
		{Key: "ce_type", Value: []byte("t")},
		{Key: "ce_time", Value: []byte("2026-01-01T00:00:00.123Z")},
		{Key: "content-type", Value: []byte("application/json")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if ev.ID != "/s#1" || ev.User != "7" || ev.Type != "t" || ev.Time != 1767225600123 || ev.Field(0) != rules.FloatValue(1.5) {
		t.Errorf("event %+v", ev)
	}
	if err := d.Decode(&ev, []byte(`{"user":7}`)); err == nil || !strings.Contains(err.Error(), "no specversion") {
		t.Errorf("without headers: %v", err)
	}
}

// schemas answers for a registry.
type schemas struct {
	json, name string
	err        error
}

func (s *schemas) AppendJSON(_ context.Context, dst, _ []byte) ([]byte, string, error) {
	if s.err != nil {
		return dst, "", s.err
	}
	return append(dst, s.json...), s.name, nil
}

func TestRegistryRecords(t *testing.T) {
	for name, c := range map[string]struct {
		m          input.Mapping
		json, name string
		want       rules.Event // without fields
		refused    string
	}{
		"by names":     {input.Mapping{}, `{"id":"e1","user":"u1","type":"t","time":1767225600,"price":1}`, "shop.Cart", rules.Event{ID: "e1", User: "u1", Type: "t", Time: 1767225600000}, ""},
		"type of name": {input.Mapping{Types: map[string]string{"shop.Cart": "cart"}}, `{"user":"u1","time":1767225600,"price":1}`, "shop.Cart", rules.Event{User: "u1", Type: "cart", Time: 1767225600000}, ""},
		"by paths": {
			input.Mapping{Fields: input.Fields{User: "buyer.id", Time: "at"}},
			`{"user":"other","buyer":{"id":77},"at":"2026-01-01T00:00:00Z","price":1}`, "shop.Cart",
			rules.Event{User: "77", Type: "shop.Cart", Time: 1767225600000},
			"",
		},
		"no type": {input.Mapping{}, `{"user":"u1","time":1}`, "", rules.Event{}, "the event has no type"},
		"no user": {input.Mapping{}, `{"time":1}`, "shop.Cart", rules.Event{}, "the event has no user"},
	} {
		c.m.Format = input.FormatRegistry
		d := NewWrapped(testSet(t), c.m, &schemas{json: c.json, name: c.name})
		var ev rules.Event
		err := d.Decode(&ev, nil)
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s: error %v, want %q", name, err, c.refused)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if ev.Field(0) != rules.IntValue(1) {
			t.Errorf("%s: price %+v", name, ev.Field(0))
		}
		if ev.Fields = nil; !cmp.Equal(ev, c.want, cmp.AllowUnexported(rules.Event{})) {
			t.Errorf("%s: %+v, want %+v", name, ev, c.want)
		}
	}
	away := errors.New("away")
	if err := NewWrapped(testSet(t), input.Mapping{Format: input.FormatRegistry}, &schemas{err: away}).Decode(&rules.Event{}, nil); !errors.Is(err, away) {
		t.Errorf("error %v, want the registry's", err)
	}
}

func readFile(path string) (string, error) {
	text, err := os.ReadFile(path)
	return string(text), err
}
