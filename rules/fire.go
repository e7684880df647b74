package rules

// firing is one rule about to send to one user.
type firing struct {
	*stepper
	rule *Rule
	op   *Op
	in   *Instance
	at   int64

	until   int64 // of quiet hours
	arm     string
	because []Datum
}

// gate lets a firing pass, or names the outcome that holds it back.
type gate func(*firing) (held Outcome)

// pass is what a gate says that does not hold back.
const pass Outcome = ""

// gates are asked in this order; the first that holds back names the outcome.
// Control and holdout come last, so that an exposure is written for every arm at
// the moment when a message would have gone out.
var gates = [...]gate{
	gateExpired,
	gateCondition,
	gateCooldown,
	gateConsent,
	gateQuietHours,
	gateCap,
	gateHoldout,
	gateExcluded,
	gateControl,
}

// note adds to what the decision rests on.
func (f *firing) note(name string, v Value) {
	if v.Present() {
		f.because = append(f.because, Datum{name, v})
	}
}

// clock is what cooldowns and caps go by: it does not run backwards for a late
// event.
func (f *firing) clock() int64 { return max(f.at, f.st.newest) }

// fire runs the gates and writes what came of it. silent says that a false
// condition is told only under "decisions: all".
func (sp *stepper) fire(r *Rule, in *Instance, at int64, silent bool) Outcome {
	outcome := sp.judge(r, in, at)
	f := &sp.firing
	if silent && outcome == Condition && !sp.out.Verbose {
		return outcome
	}
	d := sp.emit(outcome, r, in, at)
	d.Because = f.because
	d.Verbose = silent && outcome == Condition
	if x := r.Experiment; x != nil && f.arm != "" {
		d.Experiment, d.Phase, d.Arm = x.Name, x.Phase, f.arm
	}
	if outcome == Sent || outcome == ControlArm {
		d.Data = sp.data(f.op.Send)
		d.Label = sp.set.Policy.label(f.op.Send.Class)
	}
	d.First = f.takeEffect(outcome)
	if outcome == Sent {
		in.sent = true
		if x := r.Experiment; x != nil {
			in.run = assignment{x.id, x.Phase, f.arm}
		}
	}
	return outcome
}

// judge asks the gates.
func (sp *stepper) judge(r *Rule, in *Instance, at int64) Outcome {
	sp.firing = firing{stepper: sp, rule: r, op: &r.Program[in.Pos], in: in, at: at}
	for _, g := range gates {
		if held := g(&sp.firing); held != pass {
			return held
		}
	}
	return Sent
}

// takeEffect says whether it was an exposure that counts, see Decision.First.
func (f *firing) takeEffect(outcome Outcome) bool {
	e := effect{
		rule: f.rule.ID, outcome: outcome, at: f.at, channel: f.op.Send.Channel, class: f.op.Send.Class,
		experiment: f.rule.Experiment, arm: f.arm,
	}
	if e.experiment != nil {
		e.phase, e.watched = e.experiment.Phase, e.experiment.watched
	}
	return f.stepper.takeEffect(e)
}

// effect is what a decision moves beyond its instance.
type effect struct {
	rule           ID
	outcome        Outcome
	at             int64
	channel, class string
	experiment     *Experiment // nil: none, or gone
	phase          int
	arm            string
	watched        bool
}

// takeEffect moves cooldowns, caps and exposures. The virtual send of a control
// arm counts like a real one. It says whether an exposure counts as the first.
func (sp *stepper) takeEffect(e effect) (first bool) {
	if e.outcome == Sent || e.outcome == ControlArm {
		if r := sp.set.rules[e.rule]; r != nil && r.Cooldown > 0 {
			sp.st.setLastSent(e.rule, e.at)
			sp.out.Changed = true
		}
		if e.class != Transactional && len(sp.set.caps) > 0 {
			sp.out.Changed = sp.st.logSend(sp.set, e.class, e.channel, e.at) || sp.out.Changed
		}
	}
	if x := e.experiment; x != nil && x.tracked() && e.arm != "" && exposes(e.outcome) {
		fresh := sp.st.expose(exposure{experiment: x.id, phase: e.phase, rule: e.rule, arm: e.arm, t: e.at, watched: e.watched})
		sp.out.Changed = fresh || sp.out.Changed
		first = fresh && e.watched
	}
	return first
}

func exposes(o Outcome) bool { return o == Sent || o == ControlArm || o == HeldOut }

// data evaluates the values of the send; one that has no value is left out.
func (sp *stepper) data(s *Send) []Datum {
	if len(s.Data) == 0 {
		return nil
	}
	data := make([]Datum, 0, len(s.Data))
	for _, f := range s.Data {
		v := f.Expr(&sp.env)
		if !v.Present() {
			sp.out.Missing++
			continue
		}
		data = append(data, Datum{f.Name, v})
	}
	return data
}
