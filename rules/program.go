package rules

// OpKind says what an Op does.
type OpKind uint8

// The kinds of Op.
const (
	OpSend    OpKind = iota + 1 // fires: asks the gates, and sends what passes them
	OpWait                      // waits for a time
	OpWaitFor                   // waits for an event, or until it has not come
)

// Op is one step of a rule's program. An instance stands at one of them.
// "wait: 7d" with a send is the program that After makes, a send without a wait
// that of AtOnce.
type Op struct {
	Kind OpKind
	// Send is the message of an OpSend, Step its number among the sends of the
	// rule in the order of the file, from 0: part of the command id.
	Send *Send
	Step int
	// Wait is how long an OpWait waits, ms, from the moment at which the instance
	// has come to it. Until, if it is not nil, says instead until when: a Time.
	Wait  int64
	Until Expr
	// For is what an OpWaitFor waits for.
	For *WaitFor
	// Unless ends an instance that stands at this op, beside the rule's own.
	Unless []Unless
	// Next is the index of the op that follows; the program's length ends it. Of
	// an OpWaitFor, For says.
	Next int
}

// WaitFor is one wait_for: an event that matches within the time leads to Then,
// the end of the time to Else; both are indices of ops, or the program's length.
type WaitFor struct {
	On         []string
	Where      Cond
	Text       string // Where as it is written, for people
	Within     int64  // ms from the moment at which the instance has come to it
	Then, Else int
}

// Schedule starts a rule at set times instead of by events, for every user of
// whom there is a state and who is in the audience.
type Schedule struct {
	// Next returns the first occurrence after t (ms since 1970), false if there
	// is none. It is a pure function.
	Next func(t int64) (int64, bool)
	// Audience is asked of each user with Now at the occurrence; nil is everybody.
	Audience Cond
	// AudienceName is what the rule file calls it; empty for everybody.
	AudienceName string
}

// AtOnce is the program of a rule that sends when it is started.
func AtOnce(s Send) []Op { return []Op{{Kind: OpSend, Send: &s, Next: 1}} }

// After is the program of a rule that waits so long, ms, and then sends.
func After(wait int64, s Send) []Op {
	return []Op{{Kind: OpWait, Wait: wait, Next: 1}, {Kind: OpSend, Send: &s, Next: 2}}
}

func (r *Rule) beginsWithSend() bool { return len(r.Program) > 0 && r.Program[0].Kind == OpSend }

// isPlain says that wherever an instance stands, it fires when its due time
// comes: the program is a send, or one wait and a send.
func (r *Rule) isPlain() bool {
	n := len(r.Program)
	return n == 1 && r.Program[0].Kind == OpSend ||
		n == 2 && r.Program[0].Kind == OpWait && r.Program[0].Next == 1 && r.Program[1].Kind == OpSend
}

// isOneSend says that an instance of the rule stays only if it is deferred.
func (r *Rule) isOneSend() bool { return len(r.Program) == 1 && r.Program[0].Kind == OpSend }

// nextSend returns the first send at or after pos in the order of the file, nil
// if there is none.
func (r *Rule) nextSend(pos int) *Op {
	for i := pos; i < len(r.Program); i++ {
		if r.Program[i].Kind == OpSend {
			return &r.Program[i]
		}
	}
	return nil
}

// sendOf returns the position of the send with the number, -1 if there is none.
func (r *Rule) sendOf(step int) int {
	for i := range r.Program {
		if r.Program[i].Kind == OpSend && r.Program[i].Step == step {
			return i
		}
	}
	return -1
}
