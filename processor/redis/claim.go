package redis

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nudged/nudged/processor"
)

// Claim implements processor.Store.
func (s *Store) Claim(ctx context.Context, tp processor.TopicPartition, c processor.Claim) (*processor.Claimed, error) {
	const op = "claim"
	p := newPartition(s.group, tp)
	args := make([]any, scriptHead, scriptHead+11+2*len(c.Names))
	args = append(args, p.header, p.outbox, p.timers, p.names, c.ID, c.Epoch, c.Claimer, c.Base, s.buckets)
	if t := c.Takeover; t != nil {
		args = append(args, t.ID, t.Offset)
	} else {
		args = append(args, "", 0)
	}
	for id, name := range c.Names {
		args = append(args, id, name)
	}
	word, rest, err := call(ctx, s.client, claimScript, 4, args)
	if err != nil {
		return nil, s.failure(op, p, err)
	}
	switch word {
	case "ok":
	case "identity":
		return nil, s.refusal(op, p, processor.ErrIdentity, "stored is %q, expected %q", text(rest, 0), c.ID)
	case "fenced":
		return nil, s.refusal(op, p, processor.ErrFenced, "the header holds epoch %s of process %q, the call has %d of %q", text(rest, 0), text(rest, 1), c.Epoch, c.Claimer)
	default:
		return nil, s.failure(op, p, fmt.Errorf("unexpected reply %q of a script", word))
	}
	claimed, buckets, err := parseClaimed(rest)
	if err != nil {
		return nil, s.failure(op, p, err)
	}
	// Names are found in the first answer and in a repeated one alike.
	for id, name := range c.Names {
		claimed.Names[id] = name
	}
	s.mu.Lock()
	s.claimed[tp] = p.withBuckets(buckets)
	s.mu.Unlock()
	return claimed, nil
}

// parseClaimed reads what the claim script returned after 'ok'.
func parseClaimed(reply []any) (claimed *processor.Claimed, userBuckets int, err error) {
	var lists [4][]string
	if len(reply) != len(lists) {
		return nil, 0, fmt.Errorf("reply of %d elements, expected %d", len(reply), len(lists))
	}
	for i := range lists {
		if lists[i], err = texts(reply[i]); err != nil {
			return nil, 0, err
		}
	}
	fields := make(map[string]string, len(lists[0])/2)
	for i := 0; i+1 < len(lists[0]); i += 2 {
		fields[lists[0][i]] = lists[0][i+1]
	}
	h, err := parseHeader(fields)
	if err != nil {
		return nil, 0, err
	}
	claimed = &processor.Claimed{Header: h.Header}
	if claimed.Outbox, err = parseOutbox(lists[1]); err != nil {
		return nil, 0, err
	}
	if claimed.Names, err = parseNames(lists[2]); err != nil {
		return nil, 0, err
	}
	if claimed.Buckets, err = parseBuckets(lists[3]); err != nil {
		return nil, 0, err
	}
	return claimed, h.buckets, nil
}

func texts(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("reply holds %T, expected a list", v)
	}
	out := make([]string, len(list))
	for i, e := range list {
		if out[i], ok = e.(string); !ok {
			return nil, fmt.Errorf("reply holds a list of %T, expected of texts", e)
		}
	}
	return out, nil
}

func parseOutbox(list []string) ([]processor.OutboxEntry, error) {
	if len(list)%2 != 0 {
		return nil, &damage{fmt.Errorf("the outbox has %d elements, expected an even number", len(list))}
	}
	out := make([]processor.OutboxEntry, 0, len(list)/2)
	for i := 0; i < len(list); i += 2 {
		seq, err := strconv.ParseInt(list[i], 10, 64)
		if err != nil {
			return nil, &damage{fmt.Errorf("outbox: %w", err)}
		}
		out = append(out, processor.OutboxEntry{Seq: seq, Records: []byte(list[i+1])})
	}
	return out, nil
}

func parseNames(list []string) (map[uint32]string, error) {
	names := make(map[uint32]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		id, err := strconv.ParseUint(list[i], 10, 32)
		if err != nil {
			return nil, &damage{fmt.Errorf("names: %w", err)}
		}
		names[uint32(id)] = list[i+1]
	}
	return names, nil
}

func parseBuckets(list []string) ([]processor.Bucket, error) {
	buckets := make([]processor.Bucket, 0, len(list))
	for _, text := range list {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, &damage{fmt.Errorf("timer buckets: %w", err)}
		}
		buckets = append(buckets, numberedBucket(n))
	}
	sortBuckets(buckets)
	return buckets, nil
}
