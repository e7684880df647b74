package app

import (
	"context"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/decode"
	"github.com/nudged/nudged/internal/funnel"
	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/rules"
)

// FunnelReport says over which events the funnel is drawn.
type FunnelReport struct {
	Options  funnel.Options
	Category string // the field that names a purchase's category
	// Files of events; empty: the topics.
	Files   []string
	Stdin   io.Reader
	Mapping input.Mapping

	Kafka  []kgo.Opt // how to reach Kafka
	Topics []string

	From, To int64 // Unix ms; events from From up to before To; 0: no limit
	Complain func(error)
	OnRead   func(bytes int)
}

// Run reads the events.
func (r *FunnelReport) Run(ctx context.Context) (*funnel.Result, error) {
	set := &rules.Set{}
	slot := func(field string) int {
		if field == "" {
			return -1
		}
		for i, f := range set.Fields {
			if f == field {
				return i
			}
		}
		set.Fields = append(set.Fields, field)
		return len(set.Fields) - 1
	}
	source, category := slot(r.Options.By), slot(r.Category)
	f := funnel.New(r.Options)
	var ev rules.Event
	text := func(i int) string {
		if i < 0 {
			return ""
		}
		s, _ := ev.Field(i).Text() // what has no text has no name
		return s
	}
	add := func() {
		if (r.From == 0 || ev.Time >= r.From) && (r.To == 0 || ev.Time < r.To) {
			f.Add(ev.User, ev.Time, ev.Type, text(source), text(category))
		}
	}
	if len(r.Files) == 0 {
		dec := decode.New(set, r.Mapping)
		for _, topic := range r.Topics {
			err := readTopic(ctx, r.Kafka, topic, func(rec *kgo.Record) error {
				if err := dec.Decode(&ev, rec.Value); err != nil {
					r.Complain(fmt.Errorf("topic %s, partition %d, offset %d: %w", rec.Topic, rec.Partition, rec.Offset, err))
					return nil
				}
				add()
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		return f.Result(), nil
	}
	// Files are turned into nudged's own form on the way in.
	dec := decode.New(set, input.Mapping{})
	for rec, err := range input.ReadFiles(r.Files, input.Options{Mapping: r.Mapping, Stdin: r.Stdin, OnRead: r.OnRead}) {
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if rec.Err == nil {
			if err := dec.Decode(&ev, rec.Value); err != nil {
				rec.Err = fmt.Errorf("%s:%d: %w", rec.File, rec.Line, err)
			}
		}
		if rec.Err != nil {
			r.Complain(rec.Err)
			continue
		}
		add()
	}
	return f.Result(), nil
}
