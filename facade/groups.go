package facade

import (
	"net/http"
	"slices"

	"dms/facade/strictjson"
	"dms/mapping/dms"
)

func (a *API) createGroups(c *call) error {
	wanted, err := parseNewGroups(c.body, c.project.Limits.GroupsPerQueue)
	if err != nil {
		return manageError(err)
	}
	var made []dms.Group
	if slices.ContainsFunc(wanted, func(g dms.NewGroup) bool { return g.Position != nil }) {
		made, err = a.o.Workbench.CreateGroupsAt(c.ctx(), c.queue, wanted)
	} else {
		names := make([]string, len(wanted))
		for i, g := range wanted {
			names[i] = g.Name
		}
		made, err = a.o.Groups.CreateGroups(c.ctx(), c.queue, names)
	}
	if err != nil {
		return err
	}
	answer := createdGroups{Groups: make([]createdGroup, len(made))}
	for i, g := range made {
		answer.Groups[i] = createdGroup{ID: g.Ref.Group, Name: g.Name}
		c.touch(c.queue.Queue, g.Ref.Group)
	}
	return c.encode(http.StatusCreated, answer)
}

// parseNewGroups returns at most most groups.
func parseNewGroups(body []byte, most int) ([]dms.NewGroup, error) {
	var groups []dms.NewGroup
	taken := make(map[string]bool)
	group := func(r *strictjson.Reader) error {
		var name string
		var position *dms.Position
		err := r.Object("a group", []string{"name", "position"}, func(i int) (err error) {
			if i == 0 {
				name, err = r.Text("name")
				return err
			}
			position = &dms.Position{}
			names := positionNames()
			err = r.Object("position", names, func(i int) error { return readPosition(r, names[i], position) })
			if err == nil {
				err = position.Validate()
			}
			return err
		})
		if err != nil {
			return err
		}
		if err := dms.ValidateGroupName(name); err != nil {
			return err
		}
		if taken[name] {
			return dms.Errorf(dms.GroupExists, "consumer group %s is given twice", name)
		}
		if len(groups) == most {
			return dms.Errorf(dms.TooManyGroups, "a queue can have at most %d consumer groups", most)
		}
		taken[name] = true
		groups = append(groups, dms.NewGroup{Name: name, Position: position})
		return nil
	}
	err := whole(body, []string{"groups"}, func(r *strictjson.Reader, _ int) error {
		return r.Array("groups", func(int) error { return group(r) })
	})
	if err != nil {
		return nil, err
	}
	if len(groups) == 0 {
		return nil, dms.Errorf(dms.BadManageBody, "groups must name at least one consumer group")
	}
	return groups, nil
}

func (a *API) listGroups(c *call) error {
	dead, err := c.flag("include_deadletter", false)
	if err != nil {
		return err
	}
	counters, err := c.flag("include_messages_num", true)
	if err != nil {
		return err
	}
	queue, groups, err := a.o.Groups.Groups(c.ctx(), c.queue, dms.GroupView{Counters: counters, DeadLetters: dead})
	if err != nil {
		return err
	}
	from, to := c.page(len(groups))
	list := groupList{QueueID: queue.Ref.Queue, QueueName: queue.Name, Groups: make([]groupItem, 0, to-from)}
	if dead {
		list.Redrive = redrivePolicy(queue)
	}
	for _, g := range groups[from:to] {
		item := groupItem{
			ID: g.Ref.Group, Name: g.Name,
			Produced: count(g.Produced), Consumed: count(g.Consumed), Available: count(g.Available),
		}
		if dead {
			produced, available := count(g.DeadProduced), count(g.DeadAvailable)
			item.DeadProduced, item.DeadAvailable = &produced, &available
		}
		list.Groups = append(list.Groups, item)
	}
	return c.encode(http.StatusOK, list)
}

func (a *API) deleteGroup(c *call) error {
	if err := a.o.Groups.DeleteGroup(c.ctx(), c.group); err != nil {
		return err
	}
	return c.done()
}
