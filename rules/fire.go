package rules

// firing is one rule about to send to one user.
type firing struct {
	*stepper
	rule *Rule
	in   *Instance
	at   int64

	arm     string
	because []Datum
}

// gate lets a firing pass, or names the outcome that holds it back.
type gate func(*firing) (held Outcome)

// pass is what a gate says that does not hold back.
const pass Outcome = ""

// gates are asked in this order; the first that holds back names the outcome.
// Assignment comes last, so that an exposure is written for every arm at the
// moment when a message would have gone out.
var gates = [...]gate{
	gateExpired,
	gateCondition,
	gateCooldown,
	gateExperiment,
}

// fire runs the gates and writes what came of it.
func (sp *stepper) fire(r *Rule, in *Instance, at int64) {
	f := firing{stepper: sp, rule: r, in: in, at: at}
	outcome := Sent
	for _, g := range gates {
		if held := g(&f); held != pass {
			outcome = held
			break
		}
	}
	atOnce := !sp.byClock
	if outcome == Condition && atOnce && !sp.out.Verbose {
		return
	}
	d := sp.emit(outcome, r, in, at)
	d.Because = f.because
	d.Verbose = outcome == Condition && atOnce
	if r.Experiment != nil && f.arm != "" {
		d.Experiment, d.Arm = r.Experiment.Name, f.arm
	}
	if outcome == Sent || outcome == ControlArm {
		d.Data = sp.data(r)
		if r.Cooldown > 0 {
			sp.st.setLastSent(r.ID, at)
			sp.out.Changed = true
		}
	}
}

// data evaluates the values of the send; one that has no value is left out.
func (sp *stepper) data(r *Rule) []Datum {
	if len(r.Send.Data) == 0 {
		return nil
	}
	data := make([]Datum, 0, len(r.Send.Data))
	for _, f := range r.Send.Data {
		v := f.Expr(&sp.env)
		if !v.Present() {
			sp.out.Missing++
			continue
		}
		data = append(data, Datum{f.Name, v})
	}
	return data
}
