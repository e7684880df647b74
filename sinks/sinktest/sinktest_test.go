package sinktest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nudged/nudged/sinks"
)

// memory is a sink that passes; broken says how it does not.
type memory struct {
	mu     sync.Mutex
	text   strings.Builder
	broken string
	calls  int
	two    sync.WaitGroup // two deliveries are under way
}

func open(broken string) *memory {
	m := &memory{broken: broken}
	m.two.Add(2)
	return m
}

func (m *memory) received() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(func(yield func(string) bool) {
		for line := range strings.Lines(m.text.String()) {
			if !yield(strings.TrimSuffix(line, "\n")) {
				return
			}
		}
	})
}

func (m *memory) Deliver(_ context.Context, records []sinks.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	switch m.broken {
	case "turns round":
		records = slices.Clone(records)
		slices.Reverse(records)
	case "takes one":
		records = records[:min(1, len(records))]
	case "only once":
		if m.calls > 1 {
			records = nil
		}
	case "a line for nothing":
		if len(records) == 0 {
			m.text.WriteString("\n")
		}
	case "latest first":
		before := m.text.String()
		m.text.Reset()
		defer func() { m.text.WriteString(before) }()
	case "twice":
		if m.calls == 50 {
			records = append(slices.Clone(records), records...)
		}
	case "mixes":
		// The first two deliveries meet in the middle of a line.
		if m.calls <= 2 && len(records) == 5 {
			m.text.Write(records[0].Value[:10])
			m.two.Done()
			m.mu.Unlock()
			m.two.Wait()
			m.mu.Lock()
			m.text.Write(records[0].Value[10:])
			m.text.WriteString("\n")
			records = records[1:]
		}
	}
	for _, r := range records {
		m.text.Write(r.Value)
		m.text.WriteString("\n")
	}
	return nil
}

func TestSuitePasses(t *testing.T) {
	Run(t, func(*testing.T) (sinks.Sink, func() []string) {
		m := open("")
		return m, m.received
	})
}

// Each way to be broken is caught by a part of the suite.
func TestSuiteCatches(t *testing.T) {
	for _, c := range []struct{ broken, part string }{
		{"turns round", "several commands in one delivery keep their order"},
		{"takes one", "several commands in one delivery keep their order"},
		{"only once", "deliveries keep their order"},
		{"latest first", "deliveries keep their order"},
		{"a line for nothing", "a delivery of nothing passes nothing on"},
		{"mixes", "concurrent deliveries do not mix"},
		{"twice", "concurrent deliveries do not mix"},
		{"latest first", "concurrent deliveries do not mix"},
	} {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == c.part })
		if i < 0 {
			t.Fatalf("the suite has no part %q", c.part)
		}
		m := open(c.broken)
		if err := parts[i].check(m, m.received); err == nil {
			t.Errorf("a sink that is broken (%s) passes %q", c.broken, c.part)
		}
	}
}
