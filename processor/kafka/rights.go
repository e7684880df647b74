package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// right is something that the Kafka user must be allowed to do.
type right struct {
	resource string // as kafka-acls.sh names it: topic, group, transactional-id
	name     string
	op       kmsg.ACLOperation
}

// rights are those on topics.
func (c *Config) rights() []right {
	var all []right
	for _, t := range c.Events {
		all = append(all, right{"topic", t, kmsg.ACLOperationRead})
	}
	for _, t := range []string{c.Sends, c.Decisions} {
		all = append(all, right{"topic", t, kmsg.ACLOperationWrite}, right{"topic", t, kmsg.ACLOperationRead})
	}
	return append(all, right{"topic", c.DeadLetters, kmsg.ACLOperationWrite})
}

func (c *Config) groupRight() right { return right{"group", c.Group, kmsg.ACLOperationRead} }

// missing says which right is missing and how it is given.
func (c *Config) missing(r right) error {
	op := map[kmsg.ACLOperation]string{kmsg.ACLOperationRead: "Read", kmsg.ACLOperationWrite: "Write"}[r.op]
	given := r.name
	if r.resource == "transactional-id" && strings.HasPrefix(r.name, c.Group+"-") {
		given = c.Group + "- --resource-pattern-type prefixed" // what follows differs with every start
	}
	return fmt.Errorf("the Kafka user may not %s %s %q: give it the right with kafka-acls.sh --bootstrap-server %s --add --allow-principal User:<user> --operation %s --%s %s; deploy/kafka/acls.sh gives all that nudged needs",
		op, r.resource, r.name, c.Brokers[0], op, r.resource, given)
}

// checkRights asks the brokers what the user may do, and returns an error that names
// all that is missing. Brokers that do not tell, and those that allow everything,
// pass.
func checkRights(ctx context.Context, cl *kgo.Client, c *Config) error {
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	asked := map[string]bool{}
	for _, r := range c.rights() {
		if !asked[r.name] {
			asked[r.name] = true
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = kmsg.StringPtr(r.name)
			req.Topics = append(req.Topics, t)
		}
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("ask Kafka for the rights on topics: %w", err)
	}
	allowed := map[string]int32{}
	for _, t := range resp.Topics {
		switch {
		case t.Topic == nil:
		case t.ErrorCode == kerr.TopicAuthorizationFailed.Code:
			allowed[*t.Topic] = 0
		case t.ErrorCode == 0 && t.AuthorizedOperations != notTold:
			allowed[*t.Topic] = t.AuthorizedOperations
		}
	}
	var problems []error
	for _, r := range c.rights() {
		if ops, told := allowed[r.name]; told && ops&(1<<r.op) == 0 {
			problems = append(problems, c.missing(r))
		}
	}
	if groupDenied(ctx, cl, c.Group) {
		problems = append(problems, c.missing(c.groupRight()))
	}
	return errors.Join(problems...)
}

// notTold stands for rights that a broker has not been asked for or does not know.
const notTold = -1 << 31

// groupDenied says whether the user may not be a member of the group. A coordinator
// that cannot be asked yet says nothing of rights.
func groupDenied(ctx context.Context, cl *kgo.Client, group string) bool {
	ctx, cancel := context.WithTimeout(ctx, rightsPatience)
	defer cancel()
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{group}, true
	resp, err := req.RequestWith(ctx, cl)
	if err != nil || len(resp.Groups) == 0 {
		return errors.Is(err, kerr.GroupAuthorizationFailed)
	}
	g := &resp.Groups[0]
	return g.ErrorCode == kerr.GroupAuthorizationFailed.Code ||
		g.ErrorCode == 0 && g.AuthorizedOperations != notTold && g.AuthorizedOperations&(1<<kmsg.ACLOperationRead) == 0
}

// rightsPatience bounds the wait for a coordinator.
const rightsPatience = 10 * time.Second

// checkTransactions takes the first producer id: whether the user may, nothing else
// tells. Whatever else is wrong with it is no reason not to start.
func (c *Config) checkTransactions(ctx context.Context, cl *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, rightsPatience)
	defer cancel()
	_, _, err := cl.ProducerID(ctx)
	if errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
		return c.missing(right{"transactional-id", c.TransactionalID, kmsg.ACLOperationWrite})
	}
	return nil
}

// denied adds to an error that a right is missing which one it is.
func (c *Config) denied(err error, topic string, op kmsg.ACLOperation) error {
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return fmt.Errorf("%w: %w", err, c.missing(right{"topic", topic, op}))
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return fmt.Errorf("%w: %w", err, c.missing(c.groupRight()))
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return fmt.Errorf("%w: %w", err, c.missing(right{"transactional-id", c.TransactionalID, kmsg.ACLOperationWrite}))
	}
	return err
}
