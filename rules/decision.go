package rules

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// Outcome is what was decided of one firing, or of one pending instance.
type Outcome string

// The outcomes, as the decisions topic names them.
const (
	Sent        Outcome = "sent"
	ControlArm  Outcome = "control"
	Excluded    Outcome = "excluded"
	Condition   Outcome = "condition"
	Cooldown    Outcome = "cooldown"
	Expired     Outcome = "expired"
	Cancelled   Outcome = "cancelled"
	RuleRemoved Outcome = "rule_removed"
	Armed       Outcome = "armed"
	NoConsent   Outcome = "consent"
	Quiet       Outcome = "quiet_hours"
	Deferred    Outcome = "deferred"
	Capped      Outcome = "cap"
	HeldOut     Outcome = "holdout"
	Converted   Outcome = "converted"
	// Forgotten is no outcome of a rule: see Forget.
	Forgotten Outcome = "forgotten"
	// GuardrailHit is an event that a guardrail watches for, in its window.
	GuardrailHit Outcome = "guardrail"
	// AutoPaused says that a rule is paused from now on. It is not made by Step, and
	// concerns no user: see internal/guard.
	AutoPaused Outcome = "auto_paused"
)

// CommandID names a decision: the first 16 bytes of SHA-256 over rule, user,
// instance key, step in decimal and id of the triggering event, each preceded
// by its length as 4 bytes, big-endian. The same decision made twice has the
// same id.
type CommandID [16]byte

func (id CommandID) String() string { return hex.EncodeToString(id[:]) }

// NewCommandID computes the id of a decision.
func NewCommandID(rule, user, key string, step int, triggerID string) CommandID {
	var stack [256]byte
	b := stack[:0]
	var num [20]byte
	for _, part := range [...]string{rule, user, key, string(strconv.AppendInt(num[:0], int64(step), 10)), triggerID} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return CommandID(sum[:16])
}

// Datum is one evaluated value: of a send's data, or of what a decision rests on.
type Datum struct {
	Name  string
	Value Value
}

// Decision is one outcome with all that tells why. Its strings may point into
// the event and the state it was made from: a caller that keeps a Decision
// beyond the next Step of that user, or beyond the event, copies it.
type Decision struct {
	Outcome   Outcome
	CommandID CommandID
	Rule      string
	User      string
	Instance  string // the instance key, "" for rules without one
	Step      int
	Send      *Send // nil if the rule is gone
	// Experiment and Arm are empty unless assignment was asked.
	Experiment, Arm string
	Data            []Datum // only of Sent and ControlArm
	Because         []Datum // what the condition read
	Trigger         Trigger
	TriggerType     string
	Due             int64
	At              int64 // when it was decided: the event's time, or the clock's reading
	Expires         int64 // 0: never
	// Label is the text that the policy asks for on the message.
	Label string
	// Phase of the experiment, 0 where there is none.
	Phase int
	// Worth is the value of a Converted, absent if the goal has none; Again marks
	// the later ones of a user, experiment and phase.
	Worth Value
	Again bool
	// First marks the exposure of a user that counts, in an experiment that is
	// watched.
	First bool
	// Guardrail is the name of a GuardrailHit's, Exposed when the user was exposed.
	Guardrail string
	Exposed   int64
	// Verbose marks what is written only under "decisions: all".
	Verbose bool
}

// Result collects what a Step brought about. It may be reused after Reset.
type Result struct {
	// Verbose asks for the decisions that are written only under
	// "decisions: all": armed, and false conditions of rules without a wait.
	Verbose bool

	Decisions []Decision

	Changed    bool // the state differs from before
	Duplicate  bool // the event's id is among the recent ones: ignored
	Unread     bool // nothing in the set looks at events of this type
	Missing    int  // conditions, keys and data values that read what is not there
	Mismatches int  // attribute values of another type than declared
	Refused    int  // instances not started, not restarted or not deferred: the user has too many, or too large ones

	scratch stepper // memory of the last Step, for the next
}

// Reset empties the result, keeping its memory.
func (r *Result) Reset() {
	r.Decisions = r.Decisions[:0]
	r.Changed, r.Duplicate, r.Unread = false, false, false
	r.Missing, r.Mismatches, r.Refused = 0, 0, 0
}
