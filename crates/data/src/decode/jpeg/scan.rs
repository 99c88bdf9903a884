//! Entropy-coded scans, sequential (T.81, annex F) and progressive (annex G).

use super::bits::Bits;
use super::header::{Header, ZIGZAG};
use super::huffman::Table;
use super::{Attempt, Frame, corrupt, idct};

/// What a scan header says.
struct Scan<'t> {
    /// For each component of the scan: its number in the frame and its tables.
    members: Vec<Member<'t>>,
    /// First and last coefficient, in zigzag order.
    spectrum: [usize; 2],
    /// Bits known before this scan, and bits still missing after it.
    high: u32,
    low: u32,
}

struct Member<'t> {
    component: usize,
    dc: Option<&'t Table>,
    ac: Option<&'t Table>,
    quantisation: [u16; 64],
    prediction: i32,
}

/// Reads the scan whose header is `body` and whose data begins at the header's position.
pub(super) fn read(frame: &mut Frame, header: &mut Header<'_>, body: &[u8]) -> Attempt<()> {
    let mut scan = parse(frame, header, body)?;
    let mut bits = Bits::new(header.bytes, header.position);
    let mut end_of_band = 0u32;
    let [across, down] = match scan.members.as_slice() {
        // A scan of one component has no padding blocks.
        [only] => frame.components[only.component].blocks,
        _ => frame.mcus,
    };
    let interleaved = scan.members.len() > 1;
    let mut until_restart = header.restart_interval;
    for y in 0..down {
        for x in 0..across {
            if header.restart_interval > 0 {
                if until_restart == 0 {
                    bits.restart()?;
                    scan.members.iter_mut().for_each(|m| m.prediction = 0);
                    end_of_band = 0;
                    until_restart = header.restart_interval;
                }
                until_restart -= 1;
            }
            for member in 0..scan.members.len() {
                let component = &frame.components[scan.members[member].component];
                let [h, v] = if interleaved { [component.h, component.v] } else { [1, 1] };
                for (row, column) in (0..v).flat_map(|r| (0..h).map(move |c| (r, c))) {
                    let place = [x * h + column, y * v + row];
                    block(frame, &mut scan, member, place, &mut bits, &mut end_of_band)?;
                }
            }
            bits.check()?;
        }
    }
    header.position = bits.position();
    Ok(())
}

fn parse<'t>(frame: &Frame, header: &'t Header<'_>, body: &[u8]) -> Attempt<Scan<'t>> {
    let short = || corrupt("a short scan header");
    let (&n, rest) = body.split_first().ok_or_else(short)?;
    let n = usize::from(n);
    if !(1..=4).contains(&n) || rest.len() < 2 * n + 3 {
        return Err(short());
    }
    let (list, rest) = rest.split_at(2 * n);
    let [first, last, bits] = [rest[0], rest[1], rest[2]];
    let spectrum = [usize::from(first), usize::from(last)];
    let (high, low) = (u32::from(bits >> 4), u32::from(bits & 15));
    let is_dc = first == 0;
    if frame.progressive {
        let legal = if is_dc { last == 0 } else { first <= last && last < 64 && n == 1 };
        if !legal || low > 13 || high > 13 {
            return Err(corrupt("a progressive scan of illegal coefficients"));
        }
    }
    let mut members: Vec<Member<'t>> = Vec::with_capacity(n);
    for entry in list.chunks_exact(2) {
        let component = frame.components.iter().position(|c| c.id == entry[0]);
        let component = component.ok_or_else(|| corrupt("a scan of an unknown component"))?;
        if members.iter().any(|m| m.component == component) {
            return Err(corrupt("a component twice in one scan"));
        }
        let table = |tables: &'t [Option<Table>; 4], number: u8| {
            tables.get(usize::from(number)).and_then(Option::as_ref)
        };
        let quantisation = frame.components[component].quantisation;
        members.push(Member {
            component,
            dc: table(&header.dc, entry[1] >> 4),
            ac: table(&header.ac, entry[1] & 15),
            // A progressive scan may come before its table.
            quantisation: match header.quantisation(quantisation) {
                Ok(table) => *table,
                Err(_) if frame.progressive => [0; 64],
                Err(missing) => return Err(missing),
            },
            prediction: 0,
        });
    }
    Ok(Scan { members, spectrum, high, low })
}

#[inline(always)]
fn block(
    frame: &mut Frame,
    scan: &mut Scan<'_>,
    member: usize,
    [x, y]: [usize; 2],
    bits: &mut Bits<'_>,
    end_of_band: &mut u32,
) -> Attempt<()> {
    let member = &mut scan.members[member];
    let component = &mut frame.components[member.component];
    if !frame.progressive {
        let mut coefficients = [0i16; 64];
        let dc_only = sequential(bits, member, &mut coefficients)?;
        let stride = 8 * component.stored[0];
        let at = 8 * (y * stride + x);
        let samples = &mut component.samples[at..];
        idct::block(&coefficients, &member.quantisation, dc_only, samples, stride);
        return Ok(());
    }
    let at = 64 * (y * component.stored[0] + x);
    let coefficients = component.coefficients[at..].first_chunk_mut::<64>();
    let coefficients = coefficients.ok_or_else(|| corrupt("a block outside the picture"))?;
    match (scan.spectrum[0] == 0, scan.high == 0) {
        (true, true) => dc_first(bits, member, scan.low, coefficients),
        (true, false) => {
            if bits.bit() {
                coefficients[0] |= 1 << scan.low;
            }
            Ok(())
        }
        (false, first) => {
            let table = member.ac.ok_or_else(missing_table)?;
            if first {
                ac_first(bits, table, scan.spectrum, scan.low, coefficients, end_of_band)
            } else {
                ac_refine(bits, table, scan.spectrum, scan.low, coefficients, end_of_band)
            }
        }
    }
}

fn missing_table() -> super::Failure {
    corrupt("a Huffman table is missing")
}

fn difference(bits: &mut Bits<'_>, table: Option<&Table>) -> Attempt<i32> {
    let size = bits.symbol(table.ok_or_else(missing_table)?)?;
    if size > 15 {
        return Err(corrupt("a DC difference of more than 15 bits"));
    }
    Ok(bits.signed(u32::from(size)))
}

/// A whole block; true if all but its first coefficient are zero.
#[inline(always)]
fn sequential(
    bits: &mut Bits<'_>,
    member: &mut Member<'_>,
    block: &mut [i16; 64],
) -> Attempt<bool> {
    member.prediction = member.prediction.wrapping_add(difference(bits, member.dc)?);
    block[0] = member.prediction as i16;
    let table = member.ac.ok_or_else(missing_table)?;
    let mut dc_only = true;
    let mut k = 1;
    while k < 64 {
        let symbol = bits.symbol(table)?;
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 {
            if run < 15 {
                break;
            }
            k += 16;
            continue;
        }
        k += run;
        if k > 63 {
            return Err(corrupt("a run beyond the block's end"));
        }
        block[usize::from(ZIGZAG[k])] = bits.signed(size) as i16;
        dc_only = false;
        k += 1;
    }
    Ok(dc_only)
}

fn dc_first(
    bits: &mut Bits<'_>,
    member: &mut Member<'_>,
    low: u32,
    block: &mut [i16; 64],
) -> Attempt<()> {
    member.prediction = member.prediction.wrapping_add(difference(bits, member.dc)?);
    block[0] = (member.prediction << low) as i16;
    Ok(())
}

fn ac_first(
    bits: &mut Bits<'_>,
    table: &Table,
    [first, last]: [usize; 2],
    low: u32,
    block: &mut [i16; 64],
    end_of_band: &mut u32,
) -> Attempt<()> {
    if *end_of_band > 0 {
        *end_of_band -= 1;
        return Ok(());
    }
    let mut k = first;
    while k <= last {
        let symbol = bits.symbol(table)?;
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 {
            if run < 15 {
                *end_of_band = (1 << run) - 1 + bits.following(run);
                break;
            }
            k += 16;
            continue;
        }
        k += run as usize;
        if k > 63 {
            return Err(corrupt("a run beyond the block's end"));
        }
        block[usize::from(ZIGZAG[k])] = (bits.signed(size) << low) as i16;
        k += 1;
    }
    Ok(())
}

/// Adds one bit to known coefficients and finds new ones between them (T.81, G.1.2.3).
fn ac_refine(
    bits: &mut Bits<'_>,
    table: &Table,
    [first, last]: [usize; 2],
    low: u32,
    block: &mut [i16; 64],
    end_of_band: &mut u32,
) -> Attempt<()> {
    let one = 1i16 << low;
    let mut k = first;
    while *end_of_band == 0 && k <= last {
        let symbol = bits.symbol(table)?;
        let (mut run, size) = (u32::from(symbol >> 4), symbol & 15);
        let mut new = 0;
        if size == 0 {
            if run < 15 {
                *end_of_band = (1 << run) + bits.following(run);
                break;
            }
        } else {
            new = if bits.bit() { one } else { -one };
        }
        // The run counts zeros only; known coefficients on the way get their bit.
        while k <= last {
            let coefficient = &mut block[usize::from(ZIGZAG[k])];
            if *coefficient != 0 {
                refine(bits, coefficient, one);
            } else if run == 0 {
                *coefficient = new;
                k += 1;
                break;
            } else {
                run -= 1;
            }
            k += 1;
        }
        bits.check()?;
    }
    if *end_of_band > 0 {
        for &place in &ZIGZAG[k.min(last + 1)..=last] {
            let coefficient = &mut block[usize::from(place)];
            if *coefficient != 0 {
                refine(bits, coefficient, one);
            }
        }
        *end_of_band -= 1;
    }
    Ok(())
}

fn refine(bits: &mut Bits<'_>, coefficient: &mut i16, one: i16) {
    if bits.bit() && *coefficient & one == 0 {
        let step = if *coefficient >= 0 { one } else { -one };
        *coefficient = coefficient.wrapping_add(step);
    }
}
