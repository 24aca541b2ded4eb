package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Reasons why a member cannot be removed. ErrNotNow is wrapped in a sentence for operators.
var (
	ErrNoMember = errors.New("there is no such member")
	ErrNotNow   = errors.New("the member cannot be removed now")
)

// Member is one storage member as its own node sees it.
type Member struct {
	Name string `json:"name"`
	Up   bool   `json:"up"`               // it can store
	Why  string `json:"reason,omitempty"` // why it cannot
	// Sees is the member that it takes for the leader of the cluster, "" for none.
	Sees      string `json:"sees"`
	Groups    int    `json:"raft_groups"`   // that it takes part in, the cluster's own included
	Streams   int    `json:"led_streams"`   // streams it leads
	Consumers int    `json:"led_consumers"` // consumers it leads
	// Current, Behind and Offline are replicas, on other members, of what it leads.
	Current  int   `json:"replicas_current"`
	Behind   int   `json:"replicas_behind"`
	Offline  int   `json:"replicas_offline"`
	Used     int64 `json:"stored_bytes"`
	Limit    int64 `json:"stored_bytes_limit"`
	Restarts int   `json:"restarts"` // since its process started
}

// Disk is the disk under the data of a node, in bytes.
type Disk struct {
	Total    int64 `json:"total_bytes"`
	Used     int64 `json:"used_bytes"` // by all that is on it
	Free     int64 `json:"free_bytes"`
	KeepFree int64 `json:"keep_free_bytes"` // with less free nothing more is stored
	Reserve  int64 `json:"reserve_bytes"`   // held back for what must be written all the same
	Full     bool  `json:"full"`
}

// Finding is a replica that is not what the others are.
type Finding struct {
	At      time.Time `json:"at"`
	Member  string    `json:"member"`
	Project string    `json:"project,omitempty"` // "" is the service's own
	Stream  string    `json:"stream"`
	What    string    `json:"what"`  // in words
	State   string    `json:"state"` // found, repairing, repaired or failed
}

// Scrub is how far a node has compared its replicas with those of the others, since its
// process started.
type Scrub struct {
	Comparisons int64      `json:"comparisons"` // of how many messages there are
	Compared    *time.Time `json:"last_comparison,omitempty"`
	Readings    int64      `json:"readings"` // of all messages
	Read        *time.Time `json:"last_reading,omitempty"`
	Found       int64      `json:"found"`    // replicas that were not what the others are
	Repaired    int64      `json:"repaired"` // of these
}

// Node is what one node says of itself.
type Node struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Uptime  int64    `json:"uptime_seconds"`
	Ready   bool     `json:"ready"`
	Why     string   `json:"reason,omitempty"` // why it is not ready
	Disk    Disk     `json:"disk"`
	Members []Member `json:"members"`
	// Scrub is nil for a node that has no others to compare with.
	Scrub    *Scrub    `json:"scrub,omitempty"`
	Findings []Finding `json:"findings"`
}

// State is the cluster as its nodes see it.
type State struct {
	// Verdict says in words how many members store and how many may be lost.
	Verdict string `json:"verdict"`
	Stores  bool   `json:"stores"` // what is sent is stored
	CanLose int    `json:"can_lose"`
	// Size is how many members there should be, or are while one takes another's place.
	Size   int    `json:"size"`
	Up     int    `json:"up"`     // members that store
	Leader string `json:"leader"` // of the cluster, "" while there is none
	Nodes  []Node `json:"nodes"`
	// Silent are members that are in the configuration and of which no node spoke.
	Silent []string `json:"silent_members"`
}

// Sum judges what nodes say. names are the members there should be. full tells that sends
// are refused because of the disks.
func Sum(names []string, nodes []Node, full bool) State {
	s := State{Size: len(names), Nodes: slices.Clone(nodes), Silent: []string{}}
	slices.SortFunc(s.Nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	spoken := make(map[string]bool)
	votes := make(map[string]int)
	behind := 0
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Members == nil {
			n.Members = []Member{}
		}
		if n.Findings == nil {
			n.Findings = []Finding{}
		}
		for _, m := range n.Members {
			spoken[m.Name] = true
			behind += m.Behind + m.Offline
			if m.Up && m.Sees != "" {
				votes[m.Sees]++
			}
		}
	}
	for _, name := range names {
		if !spoken[name] {
			s.Silent = append(s.Silent, name)
		}
	}
	s.Size = max(s.Size, len(spoken))
	for leader, n := range votes {
		// Members that follow another leader are apart from these.
		if n > s.Up || n == s.Up && leader < s.Leader {
			s.Up, s.Leader = n, leader
		}
	}
	quorum := s.Size/2 + 1
	if s.Up < quorum {
		s.Leader = ""
	}
	s.Stores = s.Up >= quorum && !full
	s.CanLose = max(s.Up-quorum, 0)
	if behind > 0 && s.Up == s.Size {
		s.CanLose = 0
	}
	s.Verdict = s.verdict(quorum, behind, full)
	return s
}

func (s State) verdict(quorum, behind int, full bool) string {
	of := fmt.Sprintf("%d of %d, ", s.Up, s.Size)
	switch {
	case s.Up < quorum:
		return of + "nothing is stored"
	case full:
		return of + "nothing is stored: the disks are nearly full"
	case s.Up == s.Size && behind > 0:
		return of + fmt.Sprintf("can lose none until %s caught up", replicas(behind))
	case s.CanLose == 0:
		return of + "can lose none"
	}
	return of + fmt.Sprintf("can lose %d", s.CanLose)
}

func replicas(n int) string {
	if n == 1 {
		return "1 replica has"
	}
	return fmt.Sprintf("%d replicas have", n)
}

// MayRemove reports why a member cannot be removed without leaving messages on fewer
// members than they are stored on, or nil.
func (s State) MayRemove(name string) error {
	up := 0
	for _, n := range s.Nodes {
		for _, m := range n.Members {
			switch {
			case m.Name == name:
				return fmt.Errorf("%w: %s answers: stop it first", ErrNotNow, name)
			case m.Up && m.Sees == s.Leader && s.Leader != "":
				up++
			}
		}
	}
	if up < s.Size {
		return fmt.Errorf("%w: without %s there are %d members that store, want %d: start the one that takes its place first", ErrNotNow, name, up, s.Size)
	}
	return nil
}
