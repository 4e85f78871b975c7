// Records histories of rollouts from Serving itself: `go run . > ../../tests/vectors/rollout.json`.
//
// A history is a sequence of reconciles: what the route wants, whether the data plane has acknowledged what it was told
// last, the time, and the state that Serving makes of them.
package main

import (
	"context"
	"encoding/json"
	"math/rand"
	"os"

	"knative.dev/serving/pkg/reconciler/route/traffic"
)

// One thing that happens to a route: what it wants, whether the data plane has acknowledged, and when.
type event struct {
	Goal     *traffic.Rollout `json:"goal"`
	Ready    bool             `json:"ready"`
	Now      int64            `json:"now"`
	Duration float64          `json:"duration"`
	State    *traffic.Rollout `json:"state"`
}

func clone(r *traffic.Rollout) *traffic.Rollout {
	b, _ := json.Marshal(r)
	out := &traffic.Rollout{}
	_ = json.Unmarshal(b, out)
	return out
}

func main() {
	random := rand.New(rand.NewSource(20261125))
	var histories [][]event
	for h := 0; h < 16; h++ {
		duration := float64([]int{5, 60, 120, 600}[random.Intn(4)])
		names := []string{"a", "b"}[:1+random.Intn(2)]
		newest := map[string]int{}
		percents := map[string]int{"a": 100}
		if len(names) == 2 {
			percents = map[string]int{"a": 60, "b": 40}
		}
		now := int64(1_700_000_000_000_000_000)
		var state *traffic.Rollout
		var events []event
		for e := 0; e < 14; e++ {
			if e == 1 || random.Intn(12) == 0 {
				newest[names[random.Intn(len(names))]]++
			}
			if len(names) == 2 && random.Intn(10) == 0 {
				percents["a"] = 2 + random.Intn(97)
				percents["b"] = 100 - percents["a"]
			}
			goal := &traffic.Rollout{}
			for _, name := range names {
				goal.Configurations = append(goal.Configurations, &traffic.ConfigurationRollout{
					ConfigurationName: name, Percent: percents[name],
					Revisions: []traffic.RevisionRollout{{RevisionName: name + "-" + string(rune('0'+newest[name])), Percent: percents[name]}},
				})
			}
			if random.Intn(3) == 0 {
				goal.Configurations = append(goal.Configurations, &traffic.ConfigurationRollout{
					ConfigurationName: "a", Tag: "next", Percent: 100,
					Revisions: []traffic.RevisionRollout{{RevisionName: "a-" + string(rune('0'+newest["a"])), Percent: 100}},
				})
			}
			now += int64(random.Intn(int(duration*1e9/10) + 1))
			ready := random.Intn(3) > 0
			recorded := clone(goal)
			prev := state
			if prev != nil {
				prev = clone(prev)
				if !prev.Validate() {
					break
				}
				if ready {
					prev.ObserveReady(context.Background(), now, duration)
				}
			}
			ok := func() (ok bool) {
				defer func() { ok = recover() == nil }()
				state, _ = goal.Step(context.Background(), prev, now)
				return true
			}()
			if !ok || !clone(state).Validate() {
				break
			}
			state = clone(state)
			events = append(events, event{recorded, ready, now, duration, clone(state)})
		}
		histories = append(histories, events)
	}
	_ = json.NewEncoder(os.Stdout).Encode(histories)
}
