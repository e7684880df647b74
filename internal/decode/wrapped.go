package decode

import (
	"context"

	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// Schemas decodes records whose schema is kept elsewhere. An error with
// Temporary() true says that the record may be fine and has to be asked for
// again.
type Schemas interface {
	// AppendJSON appends the record's message as a JSON object and returns the
	// name of its type, "" for none.
	AppendJSON(ctx context.Context, dst, value []byte) (json []byte, name string, err error)
}

// Wrapped decodes the formats that wrap their events: each is turned into a flat
// one by the same code that reads files, and then decoded as such. It is used by
// one goroutine.
type Wrapped struct {
	flat      *Decoder
	unwrapper *input.Unwrapper
	schemas   Schemas // of format registry
	json      []byte  // what a registry's record says
	arena     []byte  // holds flat events, which events point into; full ones are left to them
}

// arenaSize is how much memory for flat events is taken at a time.
const arenaSize = 64 << 10

// NewWrapped returns a decoder for a valid mapping that Wraps. schemas are needed
// by the format registry only.
func NewWrapped(set *rules.Set, m input.Mapping, schemas Schemas) *Wrapped {
	wanted := make(map[string]bool, len(set.Fields))
	for _, name := range set.Fields {
		wanted[name] = true
	}
	return &Wrapped{
		flat:      New(set, input.Mapping{}),
		unwrapper: input.NewUnwrapper(m, func(name string) bool { return wanted[name] }),
		schemas:   schemas,
	}
}

// Decode decodes a record without headers.
func (d *Wrapped) Decode(ev *rules.Event, value []byte) error {
	return d.DecodeRecord(context.Background(), ev, value, nil)
}

// DecodeRecord fills ev from a record. Nothing of ev points into it.
func (d *Wrapped) DecodeRecord(ctx context.Context, ev *rules.Event, value []byte, headers []sinks.Header) error {
	otherwise := ""
	if d.schemas != nil {
		var err error
		if d.json, otherwise, err = d.schemas.AppendJSON(ctx, d.json[:0], value); err != nil {
			return err
		}
		value = d.json
	}
	// What is left of the arena should do for an event; if not, append moves it.
	if cap(d.arena)-len(d.arena) < len(value) {
		d.arena = make([]byte, 0, max(arenaSize, len(value)))
	}
	from := len(d.arena)
	flat, err := d.unwrapper.Append(d.arena, value, func(yield func(string, []byte) bool) {
		for i := range headers {
			if !yield(headers[i].Key, headers[i].Value) {
				return
			}
		}
	}, otherwise)
	if err != nil {
		return err
	}
	d.arena = flat
	return d.flat.Decode(ev, flat[from:len(flat):len(flat)])
}
