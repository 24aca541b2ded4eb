package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"dms/e2e"
)

// replaceMember loses the victim for good, and puts a node of another name in its place
// as operators are told to.
func replaceMember(ctx context.Context, f *field) error {
	c, n := f.cluster, f.victim
	lost := n.name
	if err := errors.Join(n.kill(), os.RemoveAll(n.data())); err != nil {
		return err
	}
	c.replaced++
	n.name = fmt.Sprintf("n%d", size+c.replaced)
	if err := c.configure(n); err != nil {
		return err
	}
	begin := time.Now()
	if err := f.back(ctx, n); err != nil {
		return err
	}
	served := time.Since(begin)
	if err := c.forget(ctx, lost); err != nil {
		return err
	}
	f.note("%s took the place of %s: it served after %.1fs, and %s was forgotten after %.1fs", n.name, lost, served.Seconds(), lost, time.Since(begin).Seconds())
	for _, o := range f.others(n) { // they learn the new name
		if err := c.configure(o); err != nil {
			return err
		}
		if err := o.stop(ctx); err != nil {
			f.complain("stop of %s: %.600v", o.name, err)
		}
		if err := f.back(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// forget removes a member that is gone, as soon as that leaves enough.
func (c *cluster) forget(ctx context.Context, name string) error {
	token, err := c.signIn(ctx, c.operator)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	asked := 0
	return await(ctx, "a lost member to be forgotten", func() error {
		asked++
		call, end := context.WithTimeout(ctx, callLimit)
		defer end()
		a, err := e2e.NewClient(c.nodes[asked%size].url(), token, probes).Do(call, http.MethodDelete, "/admin/v1/cluster/members/"+name, "")
		if err == nil && a.Status != http.StatusNoContent && a.Status != http.StatusNotFound {
			err = fmt.Errorf("remove %s: %v", name, a)
		}
		return err
	})
}
