package processor

import (
	"strings"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// output collects the outgoing records of the open batch.
type output struct {
	outboxWriter
	cfg    *Settings
	input  TopicPartition
	origin sinks.Origin
}

func (o *output) init(cfg *Settings, input TopicPartition) {
	o.cfg, o.input = cfg, input
	o.origin = sinks.Origin{Topic: strings.Clone(input.Topic), RulesVersion: cfg.Set.Version}
}

// decision adds the records of a decision: itself, and the command if it is one.
func (o *output) decision(d *rules.Decision, cause Cause, position, clock int64, trace string) {
	if d.Outcome == rules.Sent {
		o.add(true, d, cause, position, clock, trace)
	}
	if o.cfg.Decisions == DecisionsNone || d.Verbose && o.cfg.Decisions != DecisionsAll {
		return
	}
	o.add(false, d, cause, position, clock, trace)
}

func (o *output) add(send bool, d *rules.Decision, cause Cause, position, clock int64, trace string) {
	b := o.message(send, cause, position, clock, trace, d.User)
	from := len(b)
	if send {
		b = sinks.AppendCommand(b, d, o.origin)
	} else {
		b = sinks.AppendDecision(b, d, o.origin)
	}
	o.end(b, from)
}

func (o *output) deadLetter(rec *Record, reason error) {
	r := o.cfg.Layout.DeadLetter(o.input.Topic, o.input.Partition, rec.Offset, reason.Error(), rec.Key, rec.Value, rec.Headers)
	o.whole(&r)
}

// close returns the outbox entry of batch (epoch, seq), nil if it has no records,
// and starts anew. marked is how many of them are sends and decisions.
func (o *output) close(epoch, seq, previous int64) (entry []byte, marked int) {
	send := o.cfg.Layout.Send(o.input.Partition, nil, nil)
	decision := o.cfg.Layout.Decision(o.input.Partition, nil, nil)
	marked = o.marked
	return o.take(&outboxHead{
		mark:  Mark{Group: o.cfg.Group, Input: o.input, Epoch: epoch, Seq: seq, Previous: previous},
		sends: send.Topic, sendPart: send.Partition, decisions: decision.Topic, decPart: decision.Partition,
	}), marked
}
