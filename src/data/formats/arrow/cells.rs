//! Arrow values as text.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowDictionaryKeyType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType, DictionaryArray};
use arrow_schema::{DataType, TimeUnit};

use crate::data::Column;
use crate::data::formats::build::{Tally, number_text};

/// Whether values of this type are one text each.
pub(super) fn readable(kind: &DataType) -> bool {
    match kind {
        DataType::Null
        | DataType::Boolean
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Date32
        | DataType::Date64
        | DataType::Timestamp(..)
        | DataType::Time32(..)
        | DataType::Time64(..)
        | DataType::Duration(..)
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => true,
        DataType::Dictionary(key, value) => key.is_dictionary_key_type() && readable(value),
        kind => kind.is_integer() || kind.is_floating(),
    }
}

/// Appends every value of an array to a column. The error says what cannot be read.
pub(super) fn write(
    array: &dyn Array,
    column: &mut Column,
    tally: &mut Tally,
) -> Result<(), String> {
    let plain = |f: f64| number_text(f);
    let what = match array.data_type() {
        DataType::Null => {
            column.pad(column.len() + array.len());
            "null"
        }
        DataType::Boolean => {
            let values = array.as_boolean();
            each(array, column, |i| values.value(i).to_string());
            "true/false value"
        }
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            (0..array.len()).for_each(|i| column.push(text(array, i, || values.value(i))));
            "text"
        }
        DataType::LargeUtf8 => {
            let values = array.as_string::<i64>();
            (0..array.len()).for_each(|i| column.push(text(array, i, || values.value(i))));
            "text"
        }
        DataType::Utf8View => {
            let values = array.as_string_view();
            (0..array.len()).for_each(|i| column.push(text(array, i, || values.value(i))));
            "text"
        }
        DataType::Int8 => numbers::<Int8Type>(array, column, |v| v.to_string()),
        DataType::Int16 => numbers::<Int16Type>(array, column, |v| v.to_string()),
        DataType::Int32 => numbers::<Int32Type>(array, column, |v| v.to_string()),
        DataType::Int64 => numbers::<Int64Type>(array, column, |v| v.to_string()),
        DataType::UInt8 => numbers::<UInt8Type>(array, column, |v| v.to_string()),
        DataType::UInt16 => numbers::<UInt16Type>(array, column, |v| v.to_string()),
        DataType::UInt32 => numbers::<UInt32Type>(array, column, |v| v.to_string()),
        DataType::UInt64 => numbers::<UInt64Type>(array, column, |v| v.to_string()),
        DataType::Float16 => numbers::<Float16Type>(array, column, |v| plain(f64::from(v))),
        // The shortest text of the 32-bit value, not of its 64-bit neighbour.
        DataType::Float32 => numbers::<Float32Type>(array, column, |v| v.to_string()),
        DataType::Float64 => numbers::<Float64Type>(array, column, plain),
        DataType::Decimal32(..) => {
            let values = array.as_primitive::<Decimal32Type>();
            each(array, column, |i| values.value_as_string(i));
            "decimal number"
        }
        DataType::Decimal64(..) => {
            let values = array.as_primitive::<Decimal64Type>();
            each(array, column, |i| values.value_as_string(i));
            "decimal number"
        }
        DataType::Decimal128(..) => {
            let values = array.as_primitive::<Decimal128Type>();
            each(array, column, |i| values.value_as_string(i));
            "decimal number"
        }
        DataType::Decimal256(..) => {
            let values = array.as_primitive::<Decimal256Type>();
            each(array, column, |i| values.value_as_string(i));
            "decimal number"
        }
        DataType::Date32 => {
            times::<Date32Type>(array, column, |v| i128::from(v) * 86_400_000_000_000)
        }
        DataType::Date64 => times::<Date64Type>(array, column, |v| i128::from(v) * 1_000_000),
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => {
                times::<TimestampSecondType>(array, column, |v| i128::from(v) * 1_000_000_000)
            }
            TimeUnit::Millisecond => {
                times::<TimestampMillisecondType>(array, column, |v| i128::from(v) * 1_000_000)
            }
            TimeUnit::Microsecond => {
                times::<TimestampMicrosecondType>(array, column, |v| i128::from(v) * 1000)
            }
            TimeUnit::Nanosecond => times::<TimestampNanosecondType>(array, column, i128::from),
        },
        DataType::Time32(TimeUnit::Second) => clock::<Time32SecondType>(array, column, 1),
        DataType::Time32(_) => clock::<Time32MillisecondType>(array, column, 1000),
        DataType::Time64(TimeUnit::Microsecond) => {
            clock::<Time64MicrosecondType>(array, column, 1_000_000)
        }
        DataType::Time64(_) => clock::<Time64NanosecondType>(array, column, 1_000_000_000),
        DataType::Duration(unit) => match unit {
            TimeUnit::Second => spans::<DurationSecondType>(array, column, 1e0),
            TimeUnit::Millisecond => spans::<DurationMillisecondType>(array, column, 1e3),
            TimeUnit::Microsecond => spans::<DurationMicrosecondType>(array, column, 1e6),
            TimeUnit::Nanosecond => spans::<DurationNanosecondType>(array, column, 1e9),
        },
        DataType::Dictionary(key, _) => {
            match key.as_ref() {
                DataType::Int8 => dictionary::<Int8Type>(array.as_dictionary(), column)?,
                DataType::Int16 => dictionary::<Int16Type>(array.as_dictionary(), column)?,
                DataType::Int32 => dictionary::<Int32Type>(array.as_dictionary(), column)?,
                DataType::Int64 => dictionary::<Int64Type>(array.as_dictionary(), column)?,
                DataType::UInt8 => dictionary::<UInt8Type>(array.as_dictionary(), column)?,
                DataType::UInt16 => dictionary::<UInt16Type>(array.as_dictionary(), column)?,
                DataType::UInt32 => dictionary::<UInt32Type>(array.as_dictionary(), column)?,
                DataType::UInt64 => dictionary::<UInt64Type>(array.as_dictionary(), column)?,
                other => return Err(format!("keys of type {other}")),
            }
            "category"
        }
        other => return Err(format!("values of type {other}")),
    };
    let nulls = if what == "null" { array.len() } else { array.null_count() };
    tally.add("null", nulls);
    if what != "null" {
        tally.add(what, array.len() - nulls);
    }
    Ok(())
}

fn text<'a>(array: &dyn Array, i: usize, value: impl FnOnce() -> &'a str) -> &'a str {
    if array.is_null(i) { "" } else { value() }
}

fn each(array: &dyn Array, column: &mut Column, value: impl Fn(usize) -> String) {
    for i in 0..array.len() {
        if array.is_null(i) {
            column.push("");
        } else {
            column.push(&value(i));
        }
    }
}

fn numbers<T: ArrowPrimitiveType>(
    array: &dyn Array,
    column: &mut Column,
    show: impl Fn(T::Native) -> String,
) -> &'static str {
    let values = array.as_primitive::<T>();
    each(array, column, |i| show(values.value(i)));
    "number"
}

fn times<T: ArrowPrimitiveType>(
    array: &dyn Array,
    column: &mut Column,
    nanoseconds: impl Fn(T::Native) -> i128,
) -> &'static str {
    let values = array.as_primitive::<T>();
    each(array, column, |i| date(nanoseconds(values.value(i))));
    "date"
}

/// A moment in UTC, without the time where that is midnight; a plain number outside the calendar.
fn date(nanoseconds: i128) -> String {
    let Ok(moment) = jiff::Timestamp::from_nanosecond(nanoseconds) else {
        return nanoseconds.to_string();
    };
    let moment = jiff::tz::Offset::UTC.to_datetime(moment);
    if moment.time() == jiff::civil::Time::midnight() {
        moment.date().to_string()
    } else {
        moment.to_string().replace('T', " ")
    }
}

/// The time of a day to the second.
fn clock<T: ArrowPrimitiveType>(
    array: &dyn Array,
    column: &mut Column,
    per_second: i64,
) -> &'static str
where
    T::Native: Into<i64>,
{
    let values = array.as_primitive::<T>();
    each(array, column, |i| {
        let seconds = Into::<i64>::into(values.value(i)).div_euclid(per_second);
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    });
    "time"
}

fn spans<T: ArrowPrimitiveType<Native = i64>>(
    array: &dyn Array,
    column: &mut Column,
    per_second: f64,
) -> &'static str {
    let values = array.as_primitive::<T>();
    each(array, column, |i| number_text(values.value(i) as f64 / per_second));
    "duration in second"
}

fn dictionary<K: ArrowDictionaryKeyType>(
    array: &DictionaryArray<K>,
    column: &mut Column,
) -> Result<(), String> {
    let mut values = Column::new("");
    write(array.values().as_ref(), &mut values, &mut Tally::default())?;
    for key in array.keys_iter() {
        column.push(key.map_or("", |k| values.raw(k)));
    }
    Ok(())
}
