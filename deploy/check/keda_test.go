package check

import (
	"slices"
	"strconv"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The kinds of keda.sh/v1alpha1 that are used, with those of their fields that
// this repository may use: a field that is not here fails the strict decoding.
// https://keda.sh/docs/latest/reference/scaledobject-spec/ says what each is.
type (
	scaledObject struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata,omitempty"`
		Spec              struct {
			ScaleTargetRef struct {
				Name string `json:"name"`
			} `json:"scaleTargetRef"`
			PollingInterval *int32 `json:"pollingInterval,omitempty"`
			CooldownPeriod  *int32 `json:"cooldownPeriod,omitempty"`
			MinReplicaCount *int32 `json:"minReplicaCount,omitempty"`
			MaxReplicaCount *int32 `json:"maxReplicaCount,omitempty"`
			Advanced        *struct {
				HorizontalPodAutoscalerConfig *struct {
					Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior,omitempty"`
				} `json:"horizontalPodAutoscalerConfig,omitempty"`
			} `json:"advanced,omitempty"`
			Triggers []trigger `json:"triggers"`
		} `json:"spec"`
	}
	trigger struct {
		Type              string            `json:"type"`
		Metadata          map[string]string `json:"metadata"`
		AuthenticationRef *struct {
			Name string `json:"name"`
		} `json:"authenticationRef,omitempty"`
	}
	triggerAuthentication struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata,omitempty"`
		Spec              struct {
			SecretTargetRef []struct {
				Parameter string `json:"parameter"`
				Name      string `json:"name"`
				Key       string `json:"key"`
			} `json:"secretTargetRef"`
		} `json:"spec"`
	}
)

func (s *scaledObject) DeepCopyObject() runtime.Object          { c := *s; return &c }
func (a *triggerAuthentication) DeepCopyObject() runtime.Object { c := *a; return &c }

func addKEDA(scheme *runtime.Scheme) error {
	v := schema.GroupVersion{Group: "keda.sh", Version: "v1alpha1"}
	scheme.AddKnownTypeWithName(v.WithKind("ScaledObject"), &scaledObject{})
	scheme.AddKnownTypeWithName(v.WithKind("TriggerAuthentication"), &triggerAuthentication{})
	return nil
}

// What a kafka trigger takes, in its metadata and from a secret.
// https://keda.sh/docs/latest/scalers/apache-kafka/
var (
	kafkaMetadata = []string{
		"bootstrapServers", "consumerGroup", "topic", "lagThreshold", "activationLagThreshold", "offsetResetPolicy", "allowIdleConsumers",
		"scaleToZeroOnInvalidOffset", "excludePersistentLag", "limitToPartitionsWithLag", "partitionLimitation", "version", "sasl", "tls", "unsafeSsl",
	}
	kafkaSecrets = []string{"sasl", "username", "password", "tls", "ca", "cert", "key", "keyPassword"}
)

// requireFits compares what KEDA watches with what nudged reads.
func (s *scaledObject) requireFits(t *testing.T, m *manifests, c configuration) {
	t.Helper()
	if s.Spec.ScaleTargetRef.Name != m.deployment.Name {
		t.Errorf("it scales %s, there is %s", s.Spec.ScaleTargetRef.Name, m.deployment.Name)
	}
	if s.Spec.MinReplicaCount == nil || *s.Spec.MinReplicaCount < 2 || s.Spec.MaxReplicaCount == nil || *s.Spec.MaxReplicaCount < *s.Spec.MinReplicaCount {
		t.Errorf("from %v to %v processes: fewer than two cannot lose one, and without a process no timer fires", s.Spec.MinReplicaCount, s.Spec.MaxReplicaCount)
	}
	if len(s.Spec.Triggers) != len(c.Kafka.Topics.Events) {
		t.Fatalf("%d triggers for %d topics", len(s.Spec.Triggers), len(c.Kafka.Topics.Events))
	}
	for i, g := range s.Spec.Triggers {
		if g.Type != "kafka" {
			t.Errorf("trigger %s: only kafka is checked", g.Type)
		}
		for key := range g.Metadata {
			if !slices.Contains(kafkaMetadata, key) {
				t.Errorf("trigger kafka has no metadata %q", key)
			}
		}
		if g.Metadata["bootstrapServers"] != c.Kafka.Brokers[0] || g.Metadata["consumerGroup"] != c.Kafka.Group || g.Metadata["topic"] != c.Kafka.Topics.Events[i] {
			t.Errorf("KEDA watches %v; nudged reads %+v", g.Metadata, c.Kafka)
		}
		if n, err := strconv.Atoi(g.Metadata["lagThreshold"]); err != nil || n <= 0 {
			t.Errorf("lagThreshold %q", g.Metadata["lagThreshold"])
		}
		if secured := c.Kafka.SASL.Mechanism != ""; secured != (g.Metadata["sasl"] != "") || secured != (g.AuthenticationRef != nil) {
			t.Errorf("nudged logs in by %q, KEDA by %q with %+v", c.Kafka.SASL.Mechanism, g.Metadata["sasl"], g.AuthenticationRef)
		}
		if g.AuthenticationRef == nil {
			continue
		}
		if m.authentication == nil || m.authentication.Name != g.AuthenticationRef.Name {
			t.Fatalf("there is no TriggerAuthentication %s", g.AuthenticationRef.Name)
		}
		for _, ref := range m.authentication.Spec.SecretTargetRef {
			if !slices.Contains(kafkaSecrets, ref.Parameter) || ref.Name != "nudged-secrets" || ref.Key == "" {
				t.Errorf("TriggerAuthentication: %+v", ref)
			}
		}
	}
}
