# SPDX-License-Identifier: Apache-2.0
"""Tables of what a benchmark measured."""
import statistics

median = statistics.median


def spread(values, form):
    return f'median of {len(values)}; {form.format(min(values))} to {form.format(max(values))}'


def row(name, values, unit, form='{:.0f}'):
    """One line: the median of @values, how many they are and between what they lie."""
    print(f'  {name:42} {form.format(median(values)):>9} {unit:7} ({spread(values, form)})')


def alone(name, value, unit, note=''):
    print(f'  {name:42} {value:>9} {unit:7}' + (f' ({note})' if note else ''))


def goal(name, value, limit, at_most, form='{:.2f}'):
    """The last word on a figure, which never fails the run: machines differ."""
    met = value <= limit if at_most else value >= limit
    word = 'most' if at_most else 'least'
    print(f'  {name}: {form.format(value)}, goal at {word} {limit}: {"met" if met else "MISSED"}')
