package rules

// Decided is one decision as the evidence tells of it: what was decided earlier
// at the place of the input that is replayed.
type Decided struct {
	Rule       string
	Instance   string // the instance key
	Step       int
	TriggerID  string
	Outcome    Outcome
	Experiment string // empty unless assignment was asked
	Phase      int    // 0: the experiment's phase as it is now
	Arm        string
	// First and Guardrail are as in Decision.
	First     bool
	Guardrail string
	// Channel and Class are of the message, for the caps when the rule is gone.
	Channel, Class string
	Due, At        int64
	Partition      int32 // of the trigger
}
