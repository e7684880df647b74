// Package verify tells from what is visible in Kafka whether anything was lost or
// repeated. It shares nothing with the processor: it reads records as their
// consumers do, by what docs/messages.md and docs/guarantees.md say of them.
package verify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nudged/nudged/internal/chaos/workload"
)

// Input is one record of the input topic.
type Input struct {
	Partition int32
	Offset    int64
	Value     []byte // nil: a tombstone
	Acked     int64  // when whoever produced it knew that it was there, ms; 0: not known
}

// Output is one committed record of the send or the decision topic.
type Output struct {
	Send      bool
	Partition int32
	Offset    int64
	Appended  int64 // by the broker's clock, ms
	Mark      string
	Value     []byte
}

// DeadLetter says of which input record one was made.
type DeadLetter struct {
	Partition int32
	Offset    int64
}

// Topics says what the topics of a run are.
type Topics struct {
	Group, Events                        string
	EventParts, SendParts, DecisionParts int32
}

// mark is the header nudged-at.
type mark struct {
	group, topic  string
	partition     int32
	epoch, seq    int64
	index, count  int64
	previous      int64
	byEvent       bool
	position      int64
	clock         int64
	decidedBefore int64 // first offset that had not been applied when it was decided
}

func parseMark(text string) (m mark, err error) {
	rest, ok := strings.CutPrefix(text, "n1;")
	if !ok {
		return m, fmt.Errorf("header %q is no mark", text)
	}
	values := map[string]string{}
	for _, field := range strings.Split(rest, ";") {
		key, value, _ := strings.Cut(field, "=")
		values[key] = value
	}
	number := func(text string) int64 {
		n, perr := strconv.ParseInt(text, 10, 64)
		if perr != nil && err == nil {
			err = fmt.Errorf("header %q: %w", text, perr)
		}
		return n
	}
	m.group = values["g"]
	slash := strings.LastIndexByte(values["t"], '/')
	if slash < 0 {
		return m, fmt.Errorf("header %q names no partition", text)
	}
	m.topic, m.partition = values["t"][:slash], int32(number(values["t"][slash+1:]))
	m.epoch, m.seq, m.previous = number(values["e"]), number(values["s"]), number(values["q"])
	i, n, _ := strings.Cut(values["i"], "/")
	m.index, m.count = number(i), number(n)
	m.position, m.clock = number(values["o"]), number(values["c"])
	switch values["k"] {
	case "e":
		m.byEvent, m.decidedBefore = true, m.position
	case "t":
		m.decidedBefore = m.position
	default:
		return m, fmt.Errorf("header %q says neither event nor timer", text)
	}
	return m, err
}

// message is a command or a decision, as far as it is compared.
type message struct {
	CommandID  string `json:"command_id"`
	Decision   string `json:"decision"`
	Rule       string `json:"rule"`
	User       string `json:"user"`
	Instance   string `json:"instance"`
	Step       int    `json:"step"`
	Experiment string `json:"experiment"`
	Arm        string `json:"arm"`
	Again      bool   `json:"again"`
	Trigger    struct {
		ID     string `json:"id"`
		Offset int64  `json:"offset"`
	} `json:"trigger"`
	Due   time.Time `json:"due"`
	Fired time.Time `json:"fired"`
}

// record is an Output that has been read.
type record struct {
	Output
	mark
	message
}

func (r *record) place() string {
	return fmt.Sprintf("%s/%d offset %d (input %d, batch %d.%d, %d of %d)", topicOf(r.Send), r.Output.Partition, r.Output.Offset,
		r.mark.partition, r.epoch, r.seq, r.index, r.count)
}

func (r *record) what() string {
	kind := r.Decision
	if r.Send {
		kind = "command"
	}
	return fmt.Sprintf("%s %s of %s, user %s, instance %q, step %d, trigger %s, due %s, fired %s", kind, r.CommandID, r.Rule, r.User, r.Instance,
		r.Step, r.Trigger.ID, r.Due.Format(time.RFC3339Nano), r.Fired.Format(time.RFC3339Nano))
}

func topicOf(send bool) string {
	if send {
		return "sends"
	}
	return "decisions"
}

// history is what is visible of one input partition, in the order of its batches.
type history struct {
	inputs  []input
	records []*record
}

// input is an Input that has been read.
type input struct {
	Input
	event workload.Event
	bad   bool
}

// read sorts all that is visible by input partition.
func read(t *Topics, inputs []Input, outputs []Output, f *Findings) []history {
	parts := make([]history, t.EventParts)
	for _, in := range inputs {
		e, err := workload.Parse(in.Value)
		p := &parts[in.Partition]
		p.inputs = append(p.inputs, input{in, e, in.Value == nil || err != nil})
	}
	for _, out := range outputs {
		r := &record{Output: out}
		var err error
		if r.mark, err = parseMark(out.Mark); err == nil {
			err = json.Unmarshal(out.Value, &r.message)
		}
		switch {
		case err != nil:
			f.problem("%s/%d offset %d cannot be read: %v", topicOf(out.Send), out.Partition, out.Offset, err)
		case r.group != t.Group || r.topic != t.Events || r.mark.partition < 0 || r.mark.partition >= t.EventParts:
			f.problem("%s: it was decided from %s/%d by group %s", r.place(), r.topic, r.mark.partition, r.group)
		default:
			p := &parts[r.mark.partition]
			p.records = append(p.records, r)
		}
	}
	for i := range parts {
		p := &parts[i]
		slices.SortFunc(p.inputs, func(a, b input) int { return cmp.Compare(a.Offset, b.Offset) })
		slices.SortStableFunc(p.records, func(a, b *record) int {
			return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.index, b.index), cmp.Compare(a.Output.Offset, b.Output.Offset))
		})
	}
	return parts
}
