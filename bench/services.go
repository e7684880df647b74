package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/bench/measure"
)

// services are the Kafka and the Redis to measure with. A pid of 0 is unknown:
// what that process uses is then not measured.
type services struct {
	brokers            []string
	redisAddr          string
	kafkaPID, redisPID int
}

// findServices reads the environment.
func findServices(needRedis bool) (services, error) {
	s := services{redisAddr: os.Getenv("NUDGED_TEST_REDIS")}
	if addr := os.Getenv("NUDGED_TEST_KAFKA"); addr != "" {
		s.brokers = strings.Split(addr, ",")
	}
	if len(s.brokers) == 0 || needRedis && s.redisAddr == "" {
		return s, errUsage{fmt.Errorf("NUDGED_TEST_KAFKA and NUDGED_TEST_REDIS do not say where the services are: run it under deploy/local/with-services")}
	}
	var err error
	if s.kafkaPID, err = pidOf("KAFKA_PID"); err != nil {
		return s, err
	}
	s.redisPID, err = pidOf("REDIS_PID")
	return s, err
}

func pidOf(name string) (int, error) {
	for _, key := range []string{"NUDGED_" + name, name} {
		value := os.Getenv(key)
		if value == "" {
			continue
		}
		pid, err := strconv.Atoi(value)
		if err != nil || pid <= 0 {
			return 0, errUsage{fmt.Errorf("%s is %q, want a process id", key, value)}
		}
		return pid, nil
	}
	return 0, nil
}

func (s services) redis() *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr:        s.redisAddr,
		ReadTimeout: time.Minute, // MEMORY USAGE of a large key takes its time
	})
}

// clocks are the CPU times of the services at one moment, in seconds.
type clocks struct{ broker, redis float64 }

func (s services) clocks() (c clocks, err error) {
	if s.kafkaPID != 0 {
		if c.broker, err = measure.CPUSeconds(s.kafkaPID); err != nil {
			return c, err
		}
	}
	if s.redisPID != 0 {
		c.redis, err = measure.CPUSeconds(s.redisPID)
	}
	return c, err
}

// resetPeaks lets the services' peak memory begin anew, and reports whether
// that worked for all of them.
func (s services) resetPeaks() bool {
	ok := true
	for _, pid := range []int{s.kafkaPID, s.redisPID} {
		ok = ok && (pid == 0 || measure.ResetPeakRSS(pid) == nil)
	}
	return ok
}

// peaks returns the peak memory of the services in bytes, 0 where unknown.
func (s services) peaks() (broker, redis int64, err error) {
	if s.kafkaPID != 0 {
		if broker, err = measure.PeakRSS(s.kafkaPID); err != nil {
			return 0, 0, err
		}
	}
	if s.redisPID != 0 {
		redis, err = measure.PeakRSS(s.redisPID)
	}
	return broker, redis, err
}

// check finds out what would else fail only after minutes of work.
func (s services) check(ctx context.Context) error {
	rdb := s.redis()
	defer rdb.Close()
	if err := rdb.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redis at %s does not answer: %w", s.redisAddr, err)
	}
	_, err := s.clocks()
	return err
}
