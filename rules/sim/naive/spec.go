package naive

// Spec is a rule set. All times and spans are milliseconds; a span of 0 and an
// empty text are "not given" where a rule file may leave the key out.
type Spec struct {
	Attributes  []Attribute
	Metrics     []Metric
	Audiences   []Audience
	Experiments []Experiment
	Holdout     *Holdout
	Policy      *Policy
	Rules       []Rule
}

// Attribute is what is remembered of a user.
type Attribute struct {
	Name string
	Type string // int float double string bool timestamp
	From *Expr
	On   []string
}

// Metric is one figure kept of each user.
type Metric struct {
	Name   string
	Kind   string // count sum distinct first last value
	On     []string
	Value  *Expr // of a sum, distinct or value
	Where  *Expr
	Within int64
	Reset  []string
	By     string // a field of the event: counted apart by its value
}

// Audience is a named condition on users.
type Audience struct {
	Name string
	Is   *Expr
}

// Experiment shares users out.
type Experiment struct {
	Name     string
	Salt     string // empty: the name
	Arms     []Arm
	Coverage int // percent; 0: all
	Phase    int // 0: 1
	Layer    *Layer
	Goal     *Goal
}

// Arm is one arm of an experiment.
type Arm struct {
	Name   string
	Weight int
}

// Layer is the slot of an experiment in a layer, in percent, half-open.
type Layer struct {
	Name     string
	From, To int
}

// Goal is what an experiment wants to bring about.
type Goal struct {
	On     []string
	Where  *Expr
	Within int64
	Value  *Expr
}

// Holdout keeps a part of all users out of everything.
type Holdout struct {
	Percent float64
	Salt    string
}

// Policy is what holds for the messages of all rules.
type Policy struct {
	Caps    []Cap
	Quiet   []Quiet
	Consent []Consent
	Profile string // "kr" or empty
}

// Cap allows Max sends in a window of Per.
type Cap struct {
	Class, Channel string
	Max            int
	Per            int64
}

// Quiet are quiet hours; From and To are "21:00".
type Quiet struct {
	Class    string
	From, To string
	Timezone *Expr
	Default  string // empty: UTC
	Then     string // defer (also if empty) or skip
}

// Consent names the attribute without which nothing of a class is sent.
type Consent struct {
	Class, Require, Night string
}

// Clause ends a pending instance.
type Clause struct {
	On    []string
	Where *Expr
}

// Rule is one rule. With Steps it has no Wait, WaitUntil and Send.
type Rule struct {
	Name       string
	On         []string
	Where      *Expr
	Key        *Expr
	Wait       int64
	WaitUntil  *Expr
	Restart    bool
	Unless     []Clause
	Exit       []Clause
	When       *Expr
	Cooldown   int64
	Expire     int64 // expire_after
	Priority   int
	Experiment string
	Paused     bool
	Schedule   *Schedule
	Audience   string // the name of one, or a condition
	Cost       *Cost  // decides nothing: reports read it
	Send       *Send
	Steps      []Step
}

// Cost is what a message and a conversion cost.
type Cost struct{ Send, Coupon float64 }

// Schedule says when a rule runs over an audience: At is local time such as
// "2026-11-27T09:00", Cron five fields.
type Schedule struct {
	At, Cron, Timezone string
}

// Send is a message.
type Send struct {
	Channel, Class, Template string
	Data                     []Datum
}

// Datum is one named value of a message.
type Datum struct {
	Name string
	Of   *Expr
}

// Step is one step of a rule: one of Send, Wait, WaitUntil and For is given.
type Step struct {
	Send       *Send
	Wait       int64
	WaitUntil  *Expr
	For        *Clause // with Within
	Within     int64
	Then, Else []Step
	Unless     []Clause
	Exit       []Clause
}

// unless are the clauses that end an instance while it is at the step.
func (s *Step) unless() []Clause { return append(append([]Clause{}, s.Unless...), s.Exit...) }

// unless are all clauses that end an instance of the rule wherever it stands.
func (r *Rule) unless() []Clause { return append(append([]Clause{}, r.Unless...), r.Exit...) }

// waits says that the rule begins with a wait of some kind.
func (r *Rule) waits() bool {
	if len(r.Steps) > 0 {
		return r.Steps[0].Send == nil
	}
	return r.Wait > 0 || r.WaitUntil != nil
}

func (s *Spec) rule(name string) *Rule {
	for i := range s.Rules {
		if s.Rules[i].Name == name {
			return &s.Rules[i]
		}
	}
	return nil
}

func (s *Spec) experiment(name string) *Experiment {
	for i := range s.Experiments {
		if s.Experiments[i].Name == name {
			return &s.Experiments[i]
		}
	}
	return nil
}

// types are all the lists of event types in the spec.
func (s *Spec) types() [][]string {
	var all [][]string
	for _, a := range s.Attributes {
		all = append(all, a.On)
	}
	for _, m := range s.Metrics {
		all = append(all, m.On, m.Reset)
	}
	for _, x := range s.Experiments {
		if x.Goal != nil {
			all = append(all, x.Goal.On)
		}
	}
	for i := range s.Rules {
		r := &s.Rules[i]
		all = append(all, r.On)
		for _, c := range r.unless() {
			all = append(all, c.On)
		}
		for _, o := range program(r) {
			if o.step.For != nil {
				all = append(all, o.step.For.On)
			}
			for _, c := range o.step.unless() {
				all = append(all, c.On)
			}
		}
	}
	return all
}

func listed(on []string, typ string) bool {
	for _, t := range on {
		if t == typ || t == "*" {
			return true
		}
	}
	return false
}
