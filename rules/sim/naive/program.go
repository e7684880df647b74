package naive

// op is one place at which an instance can stand.
type op struct {
	step    *Step
	send    int // the number of the send
	next    int // where it goes on; the program's length is the end
	then    int // of a wait_for
	message *Send
}

// program lays out a rule's steps in the order of the file.
func program(r *Rule) []op {
	steps := r.Steps
	if len(steps) == 0 {
		if r.Wait > 0 || r.WaitUntil != nil {
			steps = append(steps, Step{Wait: r.Wait, WaitUntil: r.WaitUntil})
		}
		steps = append(steps, Step{Send: r.Send})
	}
	var ops []op
	layOut(&ops, steps, length(steps))
	sends := 0
	for i := range ops {
		if ops[i].step.Send != nil {
			ops[i].send, ops[i].message = sends, ops[i].step.Send
			sends++
		}
	}
	return ops
}

func length(steps []Step) int {
	n := 0
	for _, s := range steps {
		n += 1 + length(s.Then) + length(s.Else)
	}
	return n
}

// layOut appends the steps; after is where the last of them leads to.
func layOut(ops *[]op, steps []Step, after int) {
	for i := range steps {
		s := &steps[i]
		here := len(*ops)
		following := here + length(steps[i:i+1])
		if i == len(steps)-1 {
			following = after
		}
		*ops = append(*ops, op{step: s, next: following, then: following})
		if s.For == nil {
			continue
		}
		if len(s.Then) > 0 {
			(*ops)[here].then = len(*ops)
			layOut(ops, s.Then, following)
		}
		if len(s.Else) > 0 {
			(*ops)[here].next = len(*ops)
			layOut(ops, s.Else, following)
		}
	}
}
