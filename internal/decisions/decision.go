// Package decisions reads the messages of the decisions topic, as far as
// reports and exports of experiments need them, fast enough for many millions.
package decisions

import (
	"fmt"

	"github.com/go-faster/jx"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/eventtime"
)

// Decision is a part of a sinks.Message. Its bytes are reused by the next Parse.
type Decision struct {
	Kind       []byte // sent, control, converted, …
	CommandID  []byte
	Rule       []byte
	User       []byte
	Experiment []byte // empty: none
	Arm        []byte
	Phase      int     // 1 where an experiment states none
	Value      float64 // of a converted; 0 if there is none
	Again      bool    // of a converted: not the user's first
	First      bool    // the exposure that counts, of an experiment that is watched
	Guardrail  []byte  // of a guardrail: its name
	Exposed    int64   // of a guardrail: when the user was exposed, Unix ms
	Fired      int64   // when it was decided, Unix ms
}

// Parse reads one message. What it does not need it skips, known or not.
func (d *Decision) Parse(message []byte) error {
	*d = Decision{
		Kind: d.Kind[:0], CommandID: d.CommandID[:0], Rule: d.Rule[:0], User: d.User[:0],
		Experiment: d.Experiment[:0], Arm: d.Arm[:0], Guardrail: d.Guardrail[:0], Phase: 1,
	}
	var dec jx.Decoder
	dec.ResetBytes(message)
	var stack [64]byte
	fired := stack[:0]
	var exposed []byte
	err := dec.ObjBytes(func(dec *jx.Decoder, key []byte) (err error) {
		switch string(key) {
		case "decision":
			d.Kind, err = dec.StrAppend(d.Kind)
		case "command_id":
			d.CommandID, err = dec.StrAppend(d.CommandID)
		case "rule":
			d.Rule, err = dec.StrAppend(d.Rule)
		case "user":
			d.User, err = dec.StrAppend(d.User)
		case "experiment":
			d.Experiment, err = dec.StrAppend(d.Experiment)
		case "arm":
			d.Arm, err = dec.StrAppend(d.Arm)
		case "phase":
			d.Phase, err = dec.Int()
		case "value":
			if dec.Next() == jx.Null {
				return dec.Null()
			}
			d.Value, err = dec.Float64()
		case "again":
			d.Again, err = dec.Bool()
		case "first_exposure":
			d.First, err = dec.Bool()
		case "guardrail":
			d.Guardrail, err = dec.StrAppend(d.Guardrail)
		case "exposed":
			exposed, err = dec.StrAppend(exposed)
		case "fired":
			fired, err = dec.StrAppend(fired)
		default:
			return dec.Skip()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("not a decision message: %w", err)
	}
	if len(d.Kind) == 0 || len(d.User) == 0 && string(d.Kind) != string(rules.AutoPaused) {
		return fmt.Errorf("not a decision message: %q and %q are needed; a send command has no decision: read the decisions topic", "decision", "user")
	}
	at, ok := eventtime.ParseRFC3339(fired)
	if !ok {
		return fmt.Errorf("not a decision message: fired %q is not an RFC 3339 time", fired)
	}
	d.Fired = at
	if len(exposed) > 0 {
		if d.Exposed, ok = eventtime.ParseRFC3339(exposed); !ok {
			return fmt.Errorf("not a decision message: exposed %q is not an RFC 3339 time", exposed)
		}
	}
	return nil
}
