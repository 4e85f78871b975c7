// Records decisions of Serving's own autoscaler: `go run . > ../../tests/vectors/decider.json`.
//
// A history is a revision with settings of its own, and what its autoscaler made of load and ready pods, tick by tick:
// [seconds, stable, panic, ready pods, desired pods, excess burst capacity].
package main

import (
	"context"
	"encoding/json"
	"math"
	"math/rand"
	"os"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"

	"knative.dev/serving/pkg/autoscaler/scaling"
)

const (
	histories = 500
	steps     = 20
	tick      = 2 * time.Second
)

type load struct{ stable, panic float64 }

func (l *load) StableAndPanicConcurrency(types.NamespacedName, time.Time) (float64, float64, error) {
	return l.stable, l.panic, nil
}

func (l *load) StableAndPanicRPS(types.NamespacedName, time.Time) (float64, float64, error) {
	return l.stable, l.panic, nil
}

type pods struct{ ready int }

func (p *pods) ReadyCount() (int, error)    { return p.ready, nil }
func (p *pods) NotReadyCount() (int, error) { return 0, nil }

type history struct {
	Target          float64      `json:"target"`
	Total           float64      `json:"total"`
	Burst           float64      `json:"target_burst_capacity"`
	PanicThreshold  float64      `json:"panic_threshold"`
	MaxScaleUp      float64      `json:"max_scale_up_rate"`
	MaxScaleDown    float64      `json:"max_scale_down_rate"`
	StableWindowS   float64      `json:"stable_window_s"`
	ActivationScale int          `json:"activation_scale"`
	ScaleDownDelayS float64      `json:"scale_down_delay_s"`
	Reachable       bool         `json:"reachable"`
	ReadyAtStart    int          `json:"ready_at_start"`
	Steps           [][6]float64 `json:"steps"`
}

func pick[T any](random *rand.Rand, of ...T) T { return of[random.Intn(len(of))] }

func cents(value float64) float64 { return math.Round(value*100) / 100 }

func record(random *rand.Rand) history {
	target := cents(0.5 + 100*random.Float64()*random.Float64())
	h := history{
		Target:          target,
		Total:           cents(target / 0.7),
		Burst:           pick(random, 0, -1, 211, math.Round(300*random.Float64())),
		PanicThreshold:  pick(random, 1.1, 2, 2, 5, 10),
		MaxScaleUp:      pick(random, 1.1, 2, 10, 1000),
		MaxScaleDown:    pick(random, 1.1, 2, 4, 1000),
		StableWindowS:   pick(random, 6.0, 20, 60),
		ActivationScale: pick(random, 1, 1, 2, 5),
		ScaleDownDelayS: pick(random, 0.0, 0, 0, 10, 30),
		Reachable:       random.Intn(5) > 0,
		ReadyAtStart:    pick(random, 0, 0, 1, 1+random.Intn(20)),
	}
	began := time.Now()
	if h.ScaleDownDelayS > 0 {
		// Serving keeps delayed wishes in buckets of one tick: those begin with the history. It then must not begin in
		// panic, which Serving counts from the moment of its own clock. A revision out of reach waits in this version of
		// Serving, and no more in later ones, nor with us.
		began, h.ReadyAtStart, h.Reachable = began.Truncate(tick), random.Intn(2), true
	}
	current, counter := &load{}, &pods{h.ReadyAtStart}
	scaler := scaling.New(context.Background(), "default", "revision", current, counter, &scaling.DeciderSpec{
		MaxScaleUpRate: h.MaxScaleUp, MaxScaleDownRate: h.MaxScaleDown, ScalingMetric: "concurrency",
		TargetValue: h.Target, TotalValue: h.Total, TargetBurstCapacity: h.Burst, PanicThreshold: h.PanicThreshold,
		StableWindow: time.Duration(h.StableWindowS * float64(time.Second)), Reachable: h.Reachable,
		ActivationScale: int32(h.ActivationScale), ScaleDownDelay: time.Duration(h.ScaleDownDelayS * float64(time.Second)),
	})
	// Between two ticks: the end of a panic is never the same instant as a decision.
	at := tick / 4
	level := target * 10 * random.Float64()
	for step := 0; step < steps; step++ {
		switch random.Intn(6) {
		case 0:
			level = target * 30 * random.Float64()
		case 1:
			level = 0
		default:
			level *= 0.7 + 0.6*random.Float64()
		}
		current.panic = cents(level)
		current.stable = cents((current.stable*2 + level) / 3)
		result := scaler.Scale(zap.NewNop().Sugar(), began.Add(at))
		h.Steps = append(h.Steps, [6]float64{
			at.Seconds(), current.stable, current.panic, float64(counter.ready),
			float64(result.DesiredPodCount), float64(result.ExcessBurstCapacity),
		})
		if random.Intn(4) > 0 {
			counter.ready = int(math.Min(float64(result.DesiredPodCount), 10_000))
		}
		at += tick * time.Duration(1+random.Intn(4))
	}
	return h
}

func main() {
	random := rand.New(rand.NewSource(20261125))
	var all []history
	for number := 0; number < histories; number++ {
		all = append(all, record(random))
	}
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		panic(err)
	}
}
