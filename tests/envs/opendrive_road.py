"""A road of straight lines and arcs as OpenDRIVE text, for tests that need a map and no server."""

import math


def road(pieces, closed=False, width=3.5):
    """One road, a lane each way; `pieces` are (length, curvature), to the left (in OpenDRIVE) if positive."""
    x = y = heading = s = 0.0
    geometry = ""
    for length, curvature in pieces:
        shape = f'<arc curvature="{curvature}"/>' if curvature else "<line/>"
        geometry += f'<geometry s="{s}" x="{x}" y="{y}" hdg="{heading}" length="{length}">{shape}</geometry>'
        turned = heading + curvature * length
        if curvature:
            x += (math.sin(turned) - math.sin(heading)) / curvature
            y -= (math.cos(turned) - math.cos(heading)) / curvature
        else:
            x += length * math.cos(heading)
            y += length * math.sin(heading)
        heading, s = turned, s + length

    ends = (("predecessor", "end"), ("successor", "start")) if closed else ()
    road_link = "".join(f'<{end} elementType="road" elementId="1" contactPoint="{at}"/>' for end, at in ends)

    def lane(number):
        lane_link = "".join(f'<{end} id="{number}"/>' for end, _ in ends)
        return (
            f'<lane id="{number}" type="driving" level="false"><link>{lane_link}</link>'
            f'<width sOffset="0" a="{width}" b="0" c="0" d="0"/></lane>'
        )

    return (
        '<?xml version="1.0"?><OpenDRIVE><header revMajor="1" revMinor="4" name="" version="1"/>'
        f'<road name="" length="{s}" id="1" junction="-1"><link>{road_link}</link>'
        f"<planView>{geometry}</planView><elevationProfile/><lateralProfile/>"
        f'<lanes><laneSection s="0"><left>{lane(1)}</left>'
        '<center><lane id="0" type="none" level="false"><link/></lane></center>'
        f"<right>{lane(-1)}</right></laneSection></lanes></road></OpenDRIVE>"
    )
