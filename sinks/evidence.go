package sinks

import (
	"errors"
	"fmt"

	"github.com/go-faster/jx"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/eventtime"
)

// Evidence is what a send command or a decision tells of what was decided.
type Evidence struct {
	User      string
	CommandID string
	// Decided has the outcome Sent for a command, which has no field for it.
	Decided rules.Decided
}

var errTime = errors.New("expected an RFC 3339 time")

// ParseEvidence reads a message that AppendCommand or AppendDecision wrote. Fields
// that it does not know are passed over.
func ParseEvidence(message []byte) (Evidence, error) {
	e := Evidence{Decided: rules.Decided{Outcome: rules.Sent}}
	d := &e.Decided
	dec := jx.DecodeBytes(message)
	seen := 0
	err := dec.ObjBytes(func(dec *jx.Decoder, key []byte) (err error) {
		switch string(key) {
		case "command_id":
			e.CommandID, err = dec.Str()
		case "decision":
			var o string
			o, err = dec.Str()
			d.Outcome = rules.Outcome(o)
		case "rule":
			seen++
			d.Rule, err = dec.Str()
		case "user":
			seen++
			e.User, err = dec.Str()
		case "instance":
			d.Instance, err = dec.Str()
		case "step":
			d.Step, err = dec.Int()
		case "experiment":
			d.Experiment, err = dec.Str()
		case "arm":
			d.Arm, err = dec.Str()
		case "phase":
			d.Phase, err = dec.Int()
		case "first_exposure":
			d.First, err = dec.Bool()
		case "guardrail":
			d.Guardrail, err = dec.Str()
		case "channel":
			d.Channel, err = dec.Str()
		case "class":
			d.Class, err = dec.Str()
		case "trigger":
			seen++
			err = parseTrigger(dec, d)
		case "due":
			seen++
			d.Due, err = parseTime(dec)
		case "fired":
			seen++
			d.At, err = parseTime(dec)
		default:
			return dec.Skip()
		}
		if err != nil {
			return fmt.Errorf("field %s: %w", key, err)
		}
		return nil
	})
	switch {
	case err != nil:
		return e, fmt.Errorf("the message cannot be read: %w", err)
	case seen < 5:
		return e, errors.New("the message lacks one of rule, user, trigger, due, fired")
	}
	if d.Experiment != "" && d.Phase == 0 {
		d.Phase = 1 // the first is not written
	}
	return e, nil
}

func parseTrigger(dec *jx.Decoder, d *rules.Decided) error {
	return dec.ObjBytes(func(dec *jx.Decoder, key []byte) (err error) {
		switch string(key) {
		case "id":
			d.TriggerID, err = dec.Str()
		case "partition":
			d.Partition, err = dec.Int32()
		default:
			return dec.Skip()
		}
		return err
	})
}

func parseTime(dec *jx.Decoder) (int64, error) {
	text, err := dec.StrBytes()
	if err != nil {
		return 0, err
	}
	ms, ok := eventtime.ParseRFC3339(text)
	if !ok {
		return 0, errTime
	}
	return ms, nil
}
