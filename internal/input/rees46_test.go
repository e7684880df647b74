package input_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nudged/nudged/internal/input"
)

const (
	rees46     = "../../examples/rees46/testdata/rees46_2019-10-01_0000-0250.csv.gz"
	rees46Map  = "../../examples/rees46/map.yaml"
	rees46Rows = 17_434
)

// Real data, by the mapping that the example ships.
func TestREES46(t *testing.T) {
	m, err := input.LoadMapping(rees46Map)
	if err != nil {
		t.Fatal(err)
	}
	types, users, ids := map[string]int{}, map[string]int{}, map[string]int{}
	var first, last int64
	line := 1
	for rec, err := range input.ReadFiles([]string{rees46}, input.Options{Mapping: m}) {
		if err != nil || rec.Err != nil {
			t.Fatal(err, rec.Err)
		}
		line++
		if rec.Line != line {
			t.Fatalf("record %d is said to be at line %d", line, rec.Line)
		}
		var e struct {
			ID, Type, User string
			Time           time.Time
			ProductID      json.Number `json:"product_id"`
			Price          json.Number
		}
		if err := json.Unmarshal(rec.Value, &e); err != nil {
			t.Fatalf("%s: %v", rec.Value, err)
		}
		if e.User != rec.User || e.Time.UnixMilli() != rec.Time || e.ProductID == "" || e.Price == "" || len(e.ID) != 16 {
			t.Fatalf("record %+v holds %s", rec, rec.Value)
		}
		types[e.Type]++
		users[e.User]++
		ids[e.ID]++
		if first == 0 || rec.Time < first {
			first = rec.Time
		}
		last = max(last, rec.Time)
	}
	if n := line - 1; n != rees46Rows {
		t.Errorf("%d events, want %d", n, rees46Rows)
	}
	want := map[string]int{"product_view": 17_055, "add_to_cart": 165, "purchase": 214}
	for typ, n := range want {
		if types[typ] != n {
			t.Errorf("%d events of type %s, want %d", types[typ], typ, n)
		}
	}
	if len(types) != len(want) {
		t.Errorf("types %v, want only %v", types, want)
	}
	if len(users) != 4_504 {
		t.Errorf("%d users, want 4504", len(users))
	}
	if len(ids) != rees46Rows {
		t.Errorf("%d different ids for %d events", len(ids), rees46Rows)
	}
	if from := time.UnixMilli(first).UTC().Format(time.RFC3339); from != "2019-10-01T00:00:00Z" {
		t.Errorf("the first event is of %s", from)
	}
	if span := time.Duration(last-first) * time.Millisecond; span > 170*time.Minute || span < 160*time.Minute {
		t.Errorf("the events span %v, want about 170 minutes", span)
	}
}

func BenchmarkREES46(b *testing.B) {
	m, err := input.LoadMapping(rees46Map)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	rows := 0
	for b.Loop() {
		for rec, err := range input.ReadFiles([]string{rees46}, input.Options{Mapping: m}) {
			if err != nil || rec.Err != nil {
				b.Fatal(err, rec.Err)
			}
			rows++
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
