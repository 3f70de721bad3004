"""Money: from measured work per hour to the bill of a fleet. Measures nothing.

scenario    the file that says what an hour costs and what the work is worth
reading     reads it, looks up quotes, and says how old each price is
rules       what such a file must hold together, beyond types
hour        one hour, rented or owned, as lines of a bill
inputs      the numbers that an hour is made of, one by one, and with others in their place
division    one bill divided between input and output
objectives  what a load point must meet
response    cost per accepted response
evens       where two ways cost the same
swings      what single numbers do to a result, whatever it is
tornado     what each input of an hour does to a cost
sensitivity what moves own over an API's cost, and the cost of an answer
demand      requests a day to a rate in every hour
capacity    what one replica carries, draws and costs; sums with intervals and reasons
replicas    which replicas run in each hour, what they draw and cost
fleet       from capacity to replicas, power, money and carbon, by region and hour
monthly     what moves a month's bill of a fleet
sites       what fits where power is the limit; MoE over dense
margins     revenue, its share, cost and credits, apart
misfits     where a scenario does not fit the results
build       from a results directory and a scenario to :class:`inferometer.comparison.costs.Costs`
"""
