package rules

// Limits on what an event may carry; a decoder turns what lies beyond into a
// dead letter.
const (
	MaxUserLen = 512 // bytes of a user id
	MaxIDLen   = 256 // bytes of an event id
	MaxKeyLen  = 512 // bytes of an instance key
)

// Event is one decoded behavioural event.
type Event struct {
	ID   string
	Type string
	User string
	Time int64

	// Fields holds the event's own fields by slot, see Set.Fields. It may be
	// shorter than Set.Fields: what is missing is absent.
	Fields []Value

	// Partition and Offset say where in the input topic the event was read.
	Partition int32
	Offset    int64

	// Trace names the trace that the event belongs to, in the caller's own form.
	// A Trigger keeps it; it decides nothing.
	Trace string

	// What the type touches, as Set.Reads found it.
	set  *Set
	plan *plan
}

// Field returns the field in the slot, or an absent Value.
func (e *Event) Field(slot int) Value {
	if slot < len(e.Fields) {
		return e.Fields[slot]
	}
	return Value{}
}

// Input is what Step takes in: one event, or the news that the clock has moved.
type Input struct {
	// Event is the event to apply. If it is nil the clock moves.
	Event *Event
	// Until moves the clock: every instance due at or before it fires.
	Until int64
	// Fired is the clock's reading at which instances fire that are due by
	// Until. 0 means that each fires on time, at its own due time: the event
	// clock passes through every due time on its way.
	Fired int64
	// Sweep, if it is not nil, starts the scheduled rule for the user: the
	// occurrence is at Until, the clock reads Fired (0: on time). Nothing else fires.
	Sweep *Rule
	// Partition is the user's, for a Sweep: an event brings its own.
	Partition int32
	// Replay says that the input was taken in before: the gates are not asked.
	// Each instance named in Decided takes the outcome recorded there, an instance
	// that is not named decides nothing. An instance named that is not there any
	// more still moves cooldowns, caps and exposures. Metrics, attributes and the
	// start of instances go as usual; nothing is emitted. A Sweep,
	// of which nothing is told, begins the run and leaves it where it stands, due
	// or not.
	Replay  bool
	Decided []Decided
	// SendsOnly says that the evidence tells of sends alone ("decisions: none"):
	// whatever an event brought about beside them is worked out anew, but sends
	// nothing.
	SendsOnly bool
}
