package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"dms/deploy/engine/enginetest"
	"dms/tenancy"
	"dms/tenancy/accesskey"
	"dms/tenancy/records"
	"dms/tenancy/seal"
)

func TestSecretsAreSealedAtRest(t *testing.T) {
	s := newService()
	store := s.open(t, 0, nil)
	p := enginetest.NewProject()
	k, secret := mustCreate(t, store, p, roles(tenancy.Viewer))
	i, err := store.bucket.Read(t.Context(), kindKey+k.ID)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(i.Data, []byte(secret)) {
		t.Error("the secret can be read in the bucket")
	}
	// A sealed secret opens in its own place only.
	box := store.boxes.Append(nil, []byte(secret), bound(p.ID, k.ID, 0))
	for what, ad := range map[string][]byte{
		"another project":    bound(enginetest.NewProject().ID, k.ID, 0),
		"another key":        bound(p.ID, strings.Repeat("A", 20), 0),
		"another generation": bound(p.ID, k.ID, 1),
	} {
		if _, err := store.boxes.Open(box, ad); err == nil {
			t.Errorf("it opens as that of %s", what)
		}
	}
	for n := range box {
		changed := bytes.Clone(box)
		changed[n] ^= 1
		if _, err := store.boxes.Open(changed, bound(p.ID, k.ID, 0)); err == nil {
			t.Errorf("it opens with another byte %d", n)
		}
	}
	// After a rotation of sealing keys old secrets open as long as the old key is there.
	both := s.open(t, 1, func(o *Options) { o.Sealing = []seal.Key{sealing(2), sealing(1)} })
	if _, ok := opens(t, both, s.now, k.ID, secret); !ok {
		t.Error("the key is refused with a new sealing key before the old one")
	}
	var log bytes.Buffer
	without := s.open(t, 1, func(o *Options) {
		o.Sealing = []seal.Key{sealing(2)}
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	if _, ok := opens(t, without, s.now, k.ID, secret); ok {
		t.Error("the key is accepted without the key that sealed it")
	}
	if !strings.Contains(log.String(), "an access key cannot be used") || strings.Contains(log.String(), string(secret)) {
		t.Errorf("the log says %s", log.String())
	}
	if err := without.Delete(t.Context(), p.ID, k.ID); err != nil {
		t.Errorf("a key that cannot be opened cannot be deleted: %v", err)
	}
	if s := fmt.Sprintf("%v %+v %#v", sealing(7), sealing(7), sealing(7)); strings.Count(s, "sealing key 7") != 3 {
		t.Errorf("a sealing key prints itself as %s", s)
	}
}

func TestKeysSurviveARestartAndAMemberDown(t *testing.T) {
	s := newService()
	store := s.open(t, 0, nil)
	p := enginetest.NewProject()
	k, secret := mustCreate(t, store, p, roles(tenancy.Viewer))
	gone, goneSecret := mustCreate(t, store, p, roles(tenancy.Viewer))
	if err := store.Delete(t.Context(), p.ID, gone.ID); err != nil {
		t.Fatal(err)
	}
	store.Close()
	cluster.Kill(2)
	defer cluster.Restart(t, 2)
	again := s.open(t, 1, nil)
	if _, ok := opens(t, again, s.now, k.ID, secret); !ok {
		t.Error("the key is lost")
	}
	if _, ok := opens(t, again, s.now, gone.ID, goneSecret); ok {
		t.Error("the deleted key is back")
	}
	var made tenancy.AccessKey
	enginetest.Wait(t, func() string {
		var err error
		if made, _, err = again.Create(t.Context(), p, manager(p.ID), roles(tenancy.Viewer)); err != nil {
			return err.Error()
		}
		return ""
	})
	if list, err := again.List(t.Context(), p.ID); err != nil || len(list) != 2 || made.ID == "" {
		t.Errorf("the list is %v, %v", list, err)
	}
}

func TestANodeThatCouldNotAskForLongStartsOver(t *testing.T) {
	s := newService()
	one := s.open(t, 0, nil)
	p := enginetest.NewProject()
	k, secret := mustCreate(t, one, p, roles(tenancy.Viewer))
	one.scanning.Lock()
	// A key whose end, and whose mark, the node has missed.
	one.mu.Lock()
	ghost := one.mirror.keys[k.ID]
	ghost.key.ID = "GHOST"
	one.mirror.keys["GHOST"] = ghost
	one.mu.Unlock()
	one.scanned = one.scanned.Add(-startOverAfter - time.Second)
	one.scanning.Unlock()
	enginetest.Wait(t, func() string {
		if _, ok := one.AccessKey("GHOST"); ok {
			return "the node still has what is not in the bucket"
		}
		return ""
	})
	if _, ok := opens(t, one, s.now, k.ID, secret); !ok {
		t.Error("the node has lost what is in the bucket")
	}
}

func TestLastUsesReachOtherNodes(t *testing.T) {
	s := newService()
	one, two := s.open(t, 0, nil), s.open(t, 1, nil)
	p := enginetest.NewProject()
	k, secret := mustCreate(t, one, p, roles(tenancy.Viewer))
	if _, ok := opens(t, one, s.now, k.ID, secret); !ok {
		t.Fatal("the key is refused")
	}
	enginetest.Wait(t, func() string {
		list, err := two.List(t.Context(), p.ID)
		if err != nil || len(list) != 1 || list[0].LastUsed.IsZero() {
			return fmt.Sprintf("the other node lists %+v, %v", list, err)
		}
		return ""
	})
	// It is written down seldom, not with every use.
	i, err := two.bucket.Read(t.Context(), kindUsed+k.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := opens(t, one, s.now, k.ID, secret); !ok {
		t.Fatal("the key is refused")
	}
	if err := one.flushUsage(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, err := two.bucket.Read(t.Context(), kindUsed+k.ID); err != nil || again.Revision != i.Revision {
		t.Errorf("the next use was written down at once: revision %d after %d, %v", again.Revision, i.Revision, err)
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	s := newService()
	conn := cluster.ConnVia(t, 0, s.account)
	for name, o := range map[string]Options{
		"no connection":   {Sealing: []seal.Key{sealing(1)}},
		"no sealing key":  {Conn: conn},
		"one key twice":   {Conn: conn, Sealing: []seal.Key{sealing(1), sealing(1)}},
		"a negative life": {Conn: conn, Sealing: []seal.Key{sealing(1)}, MaxLife: -1},
		"a bad key":       {Conn: conn, Sealing: []seal.Key{sealing(1)}, Configured: []accesskey.Key{{ID: "x"}}},
	} {
		if store, err := Open(t.Context(), o); err == nil {
			store.Close()
			t.Errorf("%s: opened", name)
		}
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	unsafe := jetstream.StreamConfig{Name: "KV_credentials", Subjects: []string{"$KV.credentials.>"}, Replicas: 3, AllowDirect: true, AllowMsgTTL: true}
	enginetest.Wait(t, func() string { // a busy member may count as absent
		if _, err := js.CreateStream(t.Context(), unsafe); err != nil {
			return err.Error()
		}
		return ""
	})
	if store, err := Open(t.Context(), Options{Conn: conn, Sealing: []seal.Key{sealing(1)}}); !errors.Is(err, records.ErrUnsafe) {
		if err == nil {
			store.Close()
		}
		t.Errorf("a bucket that followers answer for: %v", err)
	}
}

func mustScan(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.scan(ctx); err != nil {
		t.Fatal(err)
	}
}
