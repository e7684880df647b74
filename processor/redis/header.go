package redis

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nudged/nudged/processor"
)

// stored is a header as Redis holds it.
type stored struct {
	processor.Header
	buckets int // of users
}

// parseHeader reads the fields of a header.
func parseHeader(fields map[string]string) (*stored, error) {
	p := headerParser{fields: fields}
	h := &stored{}
	h.ID = p.text("id")
	h.Epoch = p.integer("e")
	h.Version = p.integer("v")
	h.Seq = p.integer("s")
	h.Last = p.integer("l")
	h.Offset = p.integer("o")
	h.Clock = p.integer("c")
	h.Base = p.integer("b")
	h.buckets = int(p.integer("u"))
	if p.err == nil && (h.buckets < 1 || h.buckets > maxUserBuckets) {
		p.fail("u", fmt.Errorf("%d is not a number of user buckets", h.buckets))
	}
	var err error
	if h.History, err = processor.ParseHistory(p.text("h")); err != nil {
		p.fail("h", err)
	}
	if h.Evidence, err = parseEvidence(p.text("x")); err != nil {
		p.fail("x", err)
	}
	if h.Sweep, err = processor.ParseSweep(fields["y"]); err != nil {
		p.fail("y", err)
	}
	_, h.Wiping = fields["wipe"]
	if p.err != nil {
		return nil, p.err
	}
	return h, nil
}

// headerParser reads fields and keeps the first error.
type headerParser struct {
	fields map[string]string
	err    error
}

func (p *headerParser) fail(field string, err error) {
	if p.err == nil {
		p.err = &damage{fmt.Errorf("header, field %s: %w", field, err)}
	}
}

func (p *headerParser) text(field string) string {
	v, ok := p.fields[field]
	if !ok {
		p.fail(field, fmt.Errorf("it is missing"))
	}
	return v
}

func (p *headerParser) integer(field string) int64 {
	n, err := strconv.ParseInt(p.text(field), 10, 64)
	if err != nil {
		p.fail(field, err)
	}
	return n
}

func formatEvidence(x processor.Evidence) string {
	return fmt.Sprintf("%d,%d,%d,%d", x.SendPartition, x.SendOffset, x.DecisionPartition, x.DecisionOffset)
}

func parseEvidence(text string) (processor.Evidence, error) {
	var n [4]int64
	parts := strings.Split(text, ",")
	if len(parts) != len(n) {
		return processor.Evidence{}, fmt.Errorf("%q is not four numbers", text)
	}
	for i, p := range parts {
		bits := 64
		if i%2 == 0 {
			bits = 32 // a partition
		}
		v, err := strconv.ParseInt(p, 10, bits)
		if err != nil {
			return processor.Evidence{}, fmt.Errorf("%q is not four numbers: %w", text, err)
		}
		n[i] = v
	}
	return processor.Evidence{
		SendPartition: int32(n[0]), SendOffset: n[1], DecisionPartition: int32(n[2]), DecisionOffset: n[3],
	}, nil
}
