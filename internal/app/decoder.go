package app

import (
	"fmt"
	"time"

	"github.com/nudged/nudged/internal/decode"
	"github.com/nudged/nudged/internal/input"
	"github.com/nudged/nudged/internal/registry"
	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
)

// decoders returns what makes the decoder of a partition, by the mapping.
func decoders(set *rules.Set, m input.Mapping) (func() processor.Decoder, error) {
	switch {
	case m.Format == input.FormatCSV:
		return nil, fmt.Errorf("input.format: %s is for files: what nudged produce makes of them is flat, which needs no input part", input.FormatCSV)
	case !m.Wraps():
		return func() processor.Decoder { return decode.New(set, m) }, nil
	case m.Format != input.FormatRegistry:
		return func() processor.Decoder { return decode.NewWrapped(set, m, nil) }, nil
	}
	schemas, err := registry.New(m.Registry, time.Now)
	if err != nil {
		return nil, err
	}
	return func() processor.Decoder { return decode.NewWrapped(set, m, schemas) }, nil
}
