package rules

import "strconv"

// ForgetType is the trigger type of the decision that a user was forgotten.
const ForgetType = "forget"

// Forget empties the state of a user and returns the decision that tells of it, of
// no rule. The order to forget was read at the partition's offset; at is its time,
// ms.
func Forget(st *State, user string, partition int32, offset, at int64) Decision {
	t := Trigger{ID: strconv.Itoa(int(partition)) + "/" + strconv.FormatInt(offset, 10), Time: at, Partition: partition, Offset: offset}
	d := Decision{
		Outcome: Forgotten, CommandID: NewCommandID("", user, "", 0, t.ID), User: user, Trigger: t, TriggerType: ForgetType, Due: at, At: at,
		Because: []Datum{{Name: "pending", Value: IntValue(int64(st.Pending()))}},
	}
	st.Reset()
	return d
}
