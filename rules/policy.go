package rules

// Transactional is the class of messages that no policy holds back.
const Transactional = "transactional"

// Policy is what holds for the messages of all rules. A transactional message
// neither asks nor counts.
type Policy struct {
	Caps    []Cap
	Quiet   []QuietHours
	Consent []Consent
	Labels  []Label
}

// Cap allows at most Max sends in the window (t-Per, t]. Class and Channel narrow
// what counts; an empty one is every class, or every channel.
type Cap struct {
	Class, Channel string
	Max            int
	Per            int64 // ms
}

// QuietHours hold messages of a class back from From to To of the local day.
type QuietHours struct {
	Class    string
	From, To int  // minutes since midnight, 0..1439; From > To spans midnight
	Timezone Expr // IANA name of the user's zone; nil, absent or unknown: Default
	Default  string
	Skip     bool // then: skip; otherwise the message is deferred to the end
}

// Consent holds messages of a class back unless the user's attribute is true.
type Consent struct {
	Class   string
	Require *Attribute
	// Night, if it is not nil, is the attribute that lifts quiet hours.
	Night *Attribute
}

// Label marks the messages of a class with a text, as the law may ask.
type Label struct {
	Class, Text string
}

// Goal is the event that an experiment wants to bring about.
type Goal struct {
	On     []string
	Where  Cond
	Within int64 // ms; the window is (exposure, exposure + Within]
	Value  Expr  // nil: conversions have no value
}

// label returns the text that a message of the class is marked with.
func (p *Policy) label(class string) string {
	for i := range p.Labels {
		if p.Labels[i].Class == class {
			return p.Labels[i].Text
		}
	}
	return ""
}
